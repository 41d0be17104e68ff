"""The record of a task: what the command line knows of it before JAX is imported.

A task is one package: its ``__init__.py`` defines ``TASK``, a `Task`, and its ``task.py`` is an
`experiments.runs.interface.TaskModule`. The project's tasks are found by walking the folders of
`experiments`; a task of the user's is named by the dotted path of its package.
"""

import importlib
import pkgutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from functools import cache
from types import MappingProxyType
from typing import Any, NamedTuple

from experiments.cli.messages import nearest_choice
from experiments.cli.targets import check_target, import_package, is_permitted

HOME = "experiments"


@dataclass(frozen=True)
class NoKeys:
    """A task without keys of its own."""


class Task(NamedTuple):
    """What a task takes from a configuration.

    Attributes:
        summary: what it does, in one line of the help.
        groups: groups of the configuration that it needs, each of which names a piece.
        optional_groups: groups that it uses where one is chosen.
        groups_with: further groups that it needs with some piece, by the piece's ``_target_``.
        open_keys: keys of its groups that no file lists; below one that ends in a dot the user
            chooses the names.
        keys: a frozen dataclass of its own keys of the top level, with types and defaults.
        unused_output: keys of ``output`` that must stay null.
        keys_from_record: keys that its record decides, so that the command line cannot.
        record: what its ``input`` has to be, in words; empty where it may be none.
        figure_name: file name of its figure, without the suffix.
    """

    summary: str
    groups: tuple[str, ...]
    optional_groups: tuple[str, ...] = ()
    groups_with: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    open_keys: tuple[str, ...] = ()
    keys: type = NoKeys
    unused_output: tuple[str, ...] = ()
    keys_from_record: tuple[str, ...] = ()
    record: str = ""
    figure_name: str = "trajectory"

    @property
    def all_groups(self) -> tuple[str, ...]:
        """Every group that it may use."""
        return sum(self.groups_with.values(), self.groups + self.optional_groups)

    def required_groups(self, values: Mapping[str, Any]) -> tuple[str, ...]:
        """The groups that it needs with the pieces that a configuration chooses.

        >>> task = Task("", ("network",), groups_with={"mine.hybrid": ("model",)})
        >>> task.required_groups({"network": {"_target_": "mine.hybrid"}})
        ('network', 'model')
        """
        targets = [(values.get(group) or {}).get("_target_") for group in self.groups]
        return sum((self.groups_with.get(target, ()) for target in targets), self.groups)

    @property
    def defaults(self) -> dict[str, Any]:
        """Its own keys with their defaults."""
        return {field.name: field.default for field in fields(self.keys)}


@cache
def project_tasks() -> dict[str, Task]:
    """The project's tasks by name: the packages of `experiments` that define ``TASK``."""
    rooms = pkgutil.iter_modules(importlib.import_module(HOME).__path__)
    packages = {
        room.name: importlib.import_module(f"{HOME}.{room.name}") for room in rooms if room.ispkg
    }
    tasks = {name: vars(package).get("TASK") for name, package in packages.items()}
    return {name: task for name, task in tasks.items() if isinstance(task, Task)}


def find_task(name: Any, allow: Iterable[str] = ()) -> Task:
    """The record of a task of the project's, or of a package that the user permits.

    Raises:
        ValueError: no task has this name, or its package is not permitted.

    >>> find_task("filter").groups
    ('design', 'input')
    >>> find_task("simulat")
    Traceback (most recent call last):
        ...
    ValueError: task: expected one of estimate, filter, fit, learn, simulate, got 'simulat'; \
did you mean 'simulate'?
    """
    tasks = project_tasks()
    if name in tasks:
        return tasks[name]
    if not isinstance(name, str) or ("." not in name and not is_permitted(name, allow)):
        choice = nearest_choice(name, tasks)
        hint = f"; did you mean {choice!r}?" if choice else ""
        raise ValueError(f"task: expected one of {', '.join(sorted(tasks))}, got {name!r}{hint}")
    task = vars(import_package("task", check_target("task", name, allow))).get("TASK")
    if not isinstance(task, Task):
        raise ValueError(
            f"task: expected a package whose __init__.py defines TASK, an "
            f"experiments.cli.tasks.Task, got {name}"
        )
    return task


def task_package(name: str) -> str:
    """The package of a task that `find_task` knows."""
    return f"{HOME}.{name}" if name in project_tasks() else name
