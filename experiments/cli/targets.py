"""Dotted paths: which a configuration may name, and the functions that they name."""

import importlib
import os
import pkgutil
import sys
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import Any

from experiments.cli.messages import suggest

OWN_PACKAGES = ("sim", "integrators", "filters", "experiments")

# Stored runs and networks name factories as they were called when the files were written.
EARLIER_MODULES = {
    "experiments.estimators": "experiments.estimate.estimators",
    "experiments.learn_networks": "experiments.learn.networks",
    "experiments.learn_search": "experiments.learn.training",
    "experiments.observations": "experiments.records.observations",
    "experiments.sde": "experiments.estimate.continuous_time",
    "experiments.updates": "experiments.estimate.updates",
}
EARLIER_FACTORIES = {
    "experiments.data.data": "experiments.identification.data.data",
    "experiments.fit.search": "experiments.fit.options.fit_options",
    "experiments.record.record": "experiments.records.columns.read_input",
}


def current_target(target: str) -> str:
    """The present name of a factory that had another one in an earlier version.

    >>> current_target("experiments.updates.gate"), current_target("integrators.rk4")
    ('experiments.estimate.updates.gate', 'integrators.rk4')
    """
    module, dot, attribute = target.rpartition(".")
    return EARLIER_FACTORIES.get(target, EARLIER_MODULES.get(module, module) + dot + attribute)


def with_current_targets(values: Any) -> Any:
    """A configuration in which every ``_target_`` has its present name."""
    if not isinstance(values, Mapping):
        return values
    return {
        key: current_target(value)
        if key == "_target_" and isinstance(value, str)
        else with_current_targets(value)
        for key, value in values.items()
    }


def check_target(name: str, target: Any, allow: Iterable[str] = ()) -> str:
    """Return a dotted path if it lies in a package of the project or one that the user named.

    Nothing is imported.

    Raises:
        ValueError: it does not, or it is no dotted path.

    >>> check_target("model._target_", "sim.models.lorenz.model")
    'sim.models.lorenz.model'
    >>> check_target("model._target_", "os.system")
    Traceback (most recent call last):
        ...
    ValueError: model._target_: 'os.system' is refused: it lies outside the project's packages \
(sim, integrators, filters, experiments). If it is yours, name its package: allow=[os]
    """
    if not isinstance(target, str) or not all(p.isidentifier() for p in target.split(".")):
        raise ValueError(f"{name}: expected a dotted path such as integrators.rk4, got {target!r}")
    root = target.split(".")[0]
    if not is_permitted(target, allow):
        raise ValueError(
            f"{name}: {target!r} is refused: it lies outside the project's packages "
            f"({', '.join(OWN_PACKAGES)}). If it is yours, name its package: allow=[{root}]"
        )
    return target


def is_permitted(path: str, allow: Iterable[str]) -> bool:
    """Whether a dotted path lies in a package of the project or in one that the user named."""
    return any(path == p or path.startswith(f"{p}.") for p in (*OWN_PACKAGES, *allow))


def resolve(name: str, target: str, allow: Iterable[str] = ()) -> Callable:
    """The callable that a permitted dotted path names.

    What the module imports from a package that is not permitted is refused.
    """
    module_name, _, attribute = check_target(name, target, allow).rpartition(".")
    if not module_name:
        raise ValueError(f"{name}: expected a dotted path such as integrators.rk4, got {target!r}")
    module = import_package(name, module_name, target)
    try:
        factory = getattr(module, attribute)
    except AttributeError:
        public = getattr(module, "__all__", [n for n in vars(module) if not n.startswith("_")])
        raise ValueError(
            f"{name}: {module_name} has no {attribute!r}; {suggest(attribute, public)}"
        ) from None
    owner = getattr(factory, "func", factory)
    owner = getattr(owner, "__module__", None) or type(owner).__module__
    if not callable(factory) or not is_permitted(owner, allow):
        raise ValueError(f"{name}: {target!r} is not a function or class of the permitted packages")
    return factory


def import_package(name: str, module_name: str, target: str = "") -> ModuleType:
    """Import a module of a permitted package; a user's may lie where the command was given.

    Args:
        name: the key of the configuration, for messages.
        module_name: the dotted path of the module.
        target: what the key names, if that is something within the module.

    Raises:
        ValueError: there is no such module, or it cannot be imported.
    """
    if module_name.split(".")[0] not in OWN_PACKAGES and os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if missing != module_name and not module_name.startswith(f"{missing}."):
            raise ValueError(f"{name}: importing {module_name} failed: {error}") from error
        parent, _, leaf = missing.rpartition(".")
        package = importlib.import_module(parent) if parent else None
        siblings = [m.name for m in pkgutil.iter_modules(getattr(package, "__path__", []))]
        hint = f"; {suggest(leaf, siblings)}" if siblings else ""
        use = f" for {target!r}" if target else ""
        raise ValueError(f"{name}: no module {missing!r}{use}{hint}") from None
