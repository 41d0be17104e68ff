"""A recipe (``experiment=NAME``) of which the command replaces a piece."""

from collections.abc import Sequence
from typing import Any

from experiments.cli.config import all_groups
from experiments.cli.overrides import parse_overrides


def replace_pieces(config: Any, overrides: Sequence[str]) -> None:
    """Free a piece that the command chooses of what the recipe sets for another, in place.

    Args:
        config: the configuration as Hydra composed it.
        overrides: of the command.
    """
    from hydra import compose
    from omegaconf import open_dict

    given = parse_overrides(overrides)
    recipe = [override.text for override in given if override.key == "experiment"]
    groups = {override.key for override in given} & set(all_groups())
    if not groups or not recipe:
        return
    before = compose("config", recipe)
    # Keys of the other groups may be the recipe's own, and not be there without it.
    plain = compose("config", [override.text for override in given if override.group in groups])
    with open_dict(config):
        for group in groups:
            chosen = plain.get(group)
            if (before.get(group) or {}).get("_target_") != (chosen or {}).get("_target_"):
                config[group] = chosen
                # The recipe's title, and its phase plane, are of another system.
                if group in ("model", "input") and config.title == before.title:
                    config.title = None
                if group == "model" and config.output.phase == before.output.phase:
                    config.output.phase = None
