"""A piece of a run from its group of the configuration."""

from typing import Any

from experiments.cli.config import Config
from experiments.cli.instantiate import instantiate
from experiments.cli.targets import resolve


def build_piece(config: Config, group: str, *kinds: type) -> Any:
    """What the function of a group returns, of one of some kinds.

    Raises:
        ValueError: it is of another kind, or a key or a value is wrong.
    """
    values = getattr(config, group)
    found = instantiate(
        resolve(f"{group}._target_", values["_target_"], config.allow), values, group
    )
    if not isinstance(found, kinds):
        raise ValueError(
            f"{group}._target_: expected a function that returns an "
            f"{kinds[0].__module__}.{kinds[0].__name__}, "
            f"got one that returns {type(found).__name__}"
        )
    return found
