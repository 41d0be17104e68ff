"""The overrides of a command, ``group=option`` or ``key=value``: taken apart, and made complete.

Hydra refuses a key that no file lists unless ``++`` stands before it. A user need not know
that: what the records of the tasks (`experiments.cli.tasks.Task`) declare is opened here.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from experiments.cli.tasks import Task, find_task, project_tasks


class Override(NamedTuple):
    """One override: the dotted key, the value, and the text as it was written."""

    key: str
    value: str
    text: str

    @property
    def group(self) -> str:
        """The first part of the key: a group, or a key of the top level."""
        return self.key.partition(".")[0]


def parse_override(text: str) -> Override:
    """Take an override apart, without the ``+``, ``++`` or ``~`` that Hydra allows before it.

    >>> override = parse_override("++model.params.mass=2")
    >>> override.group, override.key, override.value
    ('model', 'model.params.mass', '2')
    """
    key, _, value = text.lstrip("+~").partition("=")
    return Override(key, value, text)


def parse_overrides(argv: Iterable[str]) -> list[Override]:
    """All overrides of a command; flags, which begin with a dash, are left out."""
    return [parse_override(argument) for argument in argv if not argument.startswith("-")]


def complete_overrides(argv: Sequence[str], conf: Path) -> list[str]:
    """The command as Hydra takes it: keys that no file lists are made free to set.

    These are the open keys and the own keys of the tasks, the keys of groups without a folder
    in ``conf``, and all keys of a piece that is named by its ``_target_``: that starts from its
    group's option ``own``, where there is one.

    Raises:
        ValueError: the command names a task that does not exist or is not permitted.
    """
    given = parse_overrides(argv)
    tasks = chosen_tasks(given)
    keys = {key for task in tasks for key in (*task.open_keys, *task.defaults)}
    folders = {path.name for path in conf.iterdir() if path.is_dir()}
    new_groups = {group for task in tasks for group in task.all_groups} - folders
    own_groups = [
        override.group
        for override in given
        if override.key == f"{override.group}._target_"
        and (conf / override.group / "own.yaml").is_file()
    ]

    free = {*keys, *new_groups, *own_groups}

    def complete(argument: str) -> str:
        key = parse_override(argument).key
        if argument.startswith(("-", "+", "~")) or key in folders:
            return argument
        if key in new_groups:
            return f"+{argument}"
        return f"++{argument}" if free & set(_parents(key)) else argument

    options = [f"{g}=own" for g in dict.fromkeys(own_groups) if g not in {o.key for o in given}]
    return [complete(argument) for argument in argv] + options


def _parents(key: str) -> list[str]:
    """A dotted key and everything that it lies in: ``a.b.c``, ``a.b``, ``a``."""
    parts = key.split(".")
    return [".".join(parts[:count]) for count in range(len(parts), 0, -1)]


def chosen_tasks(given: Iterable[Override]) -> list[Task]:
    """The records of the project's tasks, and of those that the command names."""
    values = {override.key: _split_list(override.value) for override in given}
    named = [find_task(name, values.get("allow", [])) for name in values.get("task", [])]
    return [*project_tasks().values(), *named]


def _split_list(value: str) -> list[str]:
    """The items of a list or a sweep, ``[a,b]`` or ``a,b``."""
    return [item.strip(" '\"") for item in value.strip("[] ").split(",") if item.strip()]
