"""The configuration files say what the code says."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from experiments.cli.config import COMMON_KEYS, Output, Runtime
from experiments.cli.targets import resolve
from experiments.cli.tasks import project_tasks

CONF = Path(__file__).resolve().parents[3] / "conf"
MODELS = sorted(p.stem for p in (CONF / "model").glob("*.yaml") if p.stem not in ("own", "linear"))


def load(name):
    return OmegaConf.to_container(OmegaConf.load(CONF / f"{name}.yaml"))


def fields(record):
    return {k: list(v) if isinstance(v, tuple) else v for k, v in record._asdict().items()}


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_listed_with_the_defaults_of_its_code(name):
    values = load(f"model/{name}")
    target = values.pop("_target_")
    code = resolve("model._target_", target)
    names = code.__code__.co_varnames[: code.__code__.co_argcount]
    defaults = dict(zip(names, code.__defaults__, strict=True))
    assert values == {k: fields(v) if hasattr(v, "_asdict") else v for k, v in defaults.items()}


def test_the_top_level_lists_every_key_with_its_default():
    values = load("config")
    keys = set(values) - {"defaults", "hydra"}
    own = {k: v for task in project_tasks().values() for k, v in task.defaults.items()}
    assert keys == COMMON_KEYS - {"output", "runtime"} | set(own)
    assert own == {key: values[key] for key in own}
    for kind, name in ((Output, "output/standard"), (Runtime, "runtime/float64")):
        assert load(name) == {k: f.default for k, f in kind.__dataclass_fields__.items()}
    assert load("output/data") == {**load("output/standard"), "figure": None}


def test_every_integrator_has_its_option():
    import integrators
    from integrators import OneStep

    code = {n for n in integrators.__all__ if isinstance(getattr(integrators, n), OneStep)}
    assert {p.stem for p in (CONF / "integrator").glob("*.yaml")} == code | {"own"}


def test_every_design_has_its_option_with_arguments_of_its_own():
    from filters.iir.dataarray import sections

    for path in (CONF / "design").glob("*.yaml"):
        values = load(f"design/{path.stem}")
        if path.stem != "own":
            design = resolve("design._target_", values.pop("_target_"))
            assert design.__name__ == path.stem
            assert sections(design, 1000.0, **{**values, "cutoff": 50.0}).shape[1] == 6
