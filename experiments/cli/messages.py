"""Ends of error messages: the nearest valid choice."""

import difflib
from collections.abc import Iterable


def suggest(word: str, choices: Iterable[str]) -> str:
    """The end of an error message: the choice most like ``word``, or all of them.

    >>> suggest("lenght", ["length", "mass"])
    "did you mean 'length'?"
    >>> suggest("colour", ["length", "mass"])
    'known here: length, mass'
    """
    choices = sorted(map(str, choices))
    close = difflib.get_close_matches(str(word), choices, n=1, cutoff=0.55)
    close = close or [choice for choice in choices if len(str(word)) > 2 and str(word) in choice]
    if close:
        return f"did you mean {close[0]!r}?"
    return f"known here: {', '.join(choices)}" if choices else "nothing can be set here"


def _close_matches(value, choices):
    return bool(difflib.get_close_matches(str(value), map(str, choices), n=1, cutoff=0.55))
