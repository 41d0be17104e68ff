"""Ends of error messages: the nearest valid choice.

`sim.messages` has the same two functions: importing it loads JAX, which the command line needs
only once a run begins.
"""

import difflib
from collections.abc import Iterable


def nearest_choice(word: object, choices: Iterable[object]) -> str | None:
    """The choice that is most like ``word``, or that contains it; None if none is.

    >>> nearest_choice("lenght", ["length", "mass"])
    'length'
    """
    word, choices = str(word), sorted(map(str, choices))
    similar = difflib.get_close_matches(word, choices, n=1, cutoff=0.55)
    containing = [choice for choice in choices if len(word) > 2 and word in choice]
    return next(iter(similar or containing), None)


def suggest(word: object, choices: Iterable[object]) -> str:
    """The end of an error message: the choice most like ``word``, or all of them.

    >>> suggest("lenght", ["length", "mass"])
    "did you mean 'length'?"
    >>> suggest("colour", ["length", "mass"])
    'known here: length, mass'
    """
    choices = sorted(map(str, choices))
    choice = nearest_choice(word, choices)
    if choice is not None:
        return f"did you mean {choice!r}?"
    return f"known here: {', '.join(choices)}" if choices else "nothing can be set here"
