"""Words of messages: lists of names, and the name that was meant."""

import difflib
from collections.abc import Iterable


def join_names(names: Iterable[str]) -> str:
    """Names as a sentence takes them.

    >>> join_names(["a", "b", "c"])
    'a, b and c'
    """
    *rest, last = map(str, names)
    return f"{', '.join(rest)} and {last}" if rest else last


def suggest(word: str, choices: Iterable[str]) -> str:
    """The end of a message about a name that is none of the choices.

    >>> suggest("mas", ["mass", "gain"]), suggest("x", ["mass", "gain"])
    ("did you mean 'mass'?", 'expected one of mass, gain')
    """
    choices = list(choices)
    close = difflib.get_close_matches(word, choices, 1)
    return f"did you mean {close[0]!r}?" if close else f"expected one of {', '.join(choices)}"
