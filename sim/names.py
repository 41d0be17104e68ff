"""Names for the leaves of a pytree, in files, tables and messages."""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from jax.tree_util import keystr, tree_flatten_with_path


def leaf_names(
    tree: Any, unnamed: str = "y", renamed: Mapping[str, str] | None = None
) -> list[str]:
    """One name for each leaf, in leaf order: the last named part of its path.

    Positions in tuples and lists follow that name as numbers, a tree without any
    names is called ``unnamed``, and leaves that would share a name get their whole
    path instead. Every name is a letter followed by letters, digits and underscores.
    A part of a path that is in ``renamed`` is called as it says there.

    >>> leaf_names({"state": {"q": (1.0, 2.0)}, "level": 3.0})
    ['level', 'q_0', 'q_1']
    >>> leaf_names({"a": {"q": 1.0}, "b": {"q": 2.0}})
    ['a_q', 'b_q']
    """
    paths = [[_part(key) for key in path] for path, _ in tree_flatten_with_path(tree)[0]]
    if renamed:
        paths = [[renamed.get(part, part) for part in parts] for parts in paths]
    short = [_join(_from_last_name(parts), unnamed) for parts in paths]
    whole = [_join(parts, unnamed) for parts in paths]
    count = Counter(short)
    names = [s if count[s] == 1 else w for s, w in zip(short, whole, strict=True)]
    twice = [name for name, n in Counter(names).items() if n > 1]
    if twice:
        raise ValueError(f"names: expected each leaf to have its own, got two of {twice[0]!r}")
    return names


def _part(key):
    return re.sub(r"\W", "_", keystr((key,), simple=True), flags=re.ASCII)


def _from_last_name(parts):
    named = [i for i, part in enumerate(parts) if not part.isdigit()]
    return parts[named[-1] :] if named else parts


def _join(parts, unnamed):
    led = parts if parts and parts[0][:1].isalpha() else [unnamed, *parts]
    return "_".join(led)
