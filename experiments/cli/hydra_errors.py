"""Hydra's errors in one line each, with the nearest valid choice."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from experiments.cli.messages import nearest_choice, suggest
from experiments.cli.overrides import chosen_tasks, parse_overrides
from experiments.cli.provenance import ROOT

CONF = ROOT / "conf"


def describe_hydra_error(error: Exception, argv: Sequence[str]) -> str:
    """An exception of Hydra or OmegaConf in one line, with the nearest valid choice.

    Args:
        error: the exception.
        argv: the command from which the configuration is composed.
    """
    text = str(error).splitlines()[0]
    if isinstance(error, MissingMandatoryValue):
        return f"{error.full_key}: expected a value, got nothing"
    if isinstance(error, MissingConfigException) and error.options is not None:
        group, _, option = error.missing_cfg_file.rpartition("/")
        return f"{group}: unknown option {option!r}; {suggest(option, error.options)}"
    if isinstance(error, OverrideParseException):
        override = error.override.removeprefix("++")
        return f"{override!r}: expected KEY=VALUE or GROUP=OPTION; {text}"
    if isinstance(error, HydraException):
        if isinstance(error.__cause__, OmegaConfBaseException):
            key = _whole_key(error.__cause__.full_key, argv)
            return f"{key}: unknown key; {_suggest_key(key, argv)}"
        # Hydra has no type for this error; the command shows the cause as well.
        sweeps = _sweep_overrides(argv)
        if sweeps:
            return f"{sweeps[0]}: a sweep over several values needs -m; a list is [A,B]"
    return text


def _whole_key(full_key: str, argv: Sequence[str]) -> str:
    """The key that the command gives, where an error names one that this lies in."""
    keys = [override.key for override in parse_overrides(argv)]
    return next((key for key in keys if f"{key}.".startswith(f"{full_key}.")), full_key)


def _sweep_overrides(argv: Sequence[str]) -> list[str]:
    """The overrides with several values, of a command that is no sweep."""
    if {"-m", "--multirun"} & set(argv):
        return []
    texts = [override.text for override in parse_overrides(argv)]
    parsed = OverridesParser.create().parse_overrides(texts)
    return [override.input_line for override in parsed if override.is_sweep_override()]


def _suggest_key(key: str, argv: Sequence[str]) -> str:
    """Where an unknown key belongs, or the valid key most like it."""
    group, _, inside = key.partition(".")
    options = [
        f"{group}={file.stem}"
        for file in sorted((CONF / group).glob("*.yaml"))
        if inside in _dotted_keys(OmegaConf.to_container(OmegaConf.load(file)))
    ]
    if options:
        return f"it belongs to {' or '.join(options)}"
    groups = [path.name for path in CONF.iterdir() if path.is_dir()]
    chosen = [o.text.split(",")[0] for o in parse_overrides(argv) if o.text.split("=")[0] in groups]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", chosen)  # of a sweep, its first values
    own_keys = {name for task in chosen_tasks(parse_overrides(argv)) for name in task.defaults}
    known = {*_dotted_keys(OmegaConf.to_container(config)), *own_keys, "experiment"}
    siblings: list[str] = []
    while not siblings:
        parent = key.rpartition(".")[0]
        siblings = [k for k in known if k.rpartition(".")[0] == parent and "_target_" not in k]
        if not parent:
            break
        key = key if siblings else parent  # the first part that is not known
    if nearest_choice(key, siblings) or group in groups:
        return suggest(key, siblings)
    if nearest_choice(key, known):
        return suggest(key, known)
    return suggest(key, [k for k in known if "." not in k])


def _dotted_keys(tree: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """All keys of a configuration with the path to them."""
    for key, value in tree.items():
        yield prefix + key
        if isinstance(value, dict):
            yield from _dotted_keys(value, f"{prefix}{key}.")
