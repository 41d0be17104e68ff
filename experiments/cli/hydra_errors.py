"""Hydra's objections to a command, in one line each, with the nearest valid choice."""

import re

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from experiments.cli.messages import suggest
from experiments.cli.provenance import ROOT

CONF = ROOT / "conf"


def describe_hydra_error(error, argv) -> str:
    """Hydra's exception in one line, with the nearest valid choice."""
    options = getattr(error, "options", None)
    if options is not None:
        group, _, option = error.missing_cfg_file.rpartition("/")
        return f"{group}: unknown option {option!r}; {suggest(option, options)}"
    text = str(error).splitlines()[0]
    if text.startswith("Ambiguous value"):
        return f"{text}: a sweep over several values needs -m, a list is [A,B]"
    found = re.match(r"Could not override '([^'@]+)", text)
    if found:
        full = re.search(r"full_key: (\S+)", str(error.__cause__))
        key = full[1] if full and full[1].startswith(found[1]) else found[1]
        return f"{key}: unknown key; {_suggest_key(key, argv)}"
    if hasattr(error, "override"):
        return f"{error.override!r}: expected KEY=VALUE or GROUP=OPTION; {text}".replace("'++", "'")
    return text


def _suggest_key(key, argv) -> str:
    group, _, inside = key.partition(".")
    elsewhere = [
        f"{group}={f.stem}"
        for f in sorted((CONF / group).glob("*.yaml"))
        if inside in _dotted_keys(OmegaConf.to_container(OmegaConf.load(f)))
    ]
    if elsewhere:
        return f"it belongs to {' or '.join(elsewhere)}"
    groups = [p.name for p in CONF.iterdir() if p.is_dir()]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        # Of a sweep, the first choice.
        config = compose("config", [a.split(",")[0] for a in argv if a.split("=")[0] in groups])
    known = {*_dotted_keys(OmegaConf.to_container(config)), "experiment"}
    while True:
        parent = key.rpartition(".")[0]
        siblings = [k for k in known if k.rpartition(".")[0] == parent and "_target_" not in k]
        if siblings or not parent:
            break
        key = parent  # the first part that is not known
    hint = suggest(key, siblings)
    if hint.startswith("did") or group in groups:
        return hint
    hint = suggest(key, known)
    return hint if hint.startswith("did") else suggest(key, [k for k in known if "." not in k])


def _dotted_keys(tree, prefix=""):
    for key, value in tree.items():
        yield prefix + key
        if isinstance(value, dict):
            yield from _dotted_keys(value, f"{prefix}{key}.")
