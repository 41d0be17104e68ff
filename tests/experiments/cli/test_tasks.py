"""The record of every task of the project fits its module and the configuration."""

import dataclasses
import importlib
from pathlib import Path

import pytest

from experiments.cli.config import COMMON_KEYS, Output
from experiments.cli.overrides import complete_overrides
from experiments.cli.tasks import project_tasks, task_package
from experiments.runs.interface import TaskModule

CONF = Path(__file__).resolve().parents[3] / "conf"
TASKS = project_tasks()


def test_tasks_are_found_by_their_folders():
    folders = {path.parent.name for path in (CONF.parent / "experiments").glob("*/task.py")}
    assert set(TASKS) == folders


@pytest.mark.parametrize("name", TASKS)
def test_a_record_names_groups_and_keys_that_exist(name):
    task = TASKS[name]
    assert all((CONF / group).is_dir() for group in task.all_groups)
    assert {key.split(".")[0] for key in task.open_keys} <= set(task.all_groups)
    assert set(task.unused_output) <= {field.name for field in dataclasses.fields(Output)}
    assert {key.split(".")[0] for key in task.keys_from_record} <= COMMON_KEYS
    assert not set(task.defaults) & COMMON_KEYS


@pytest.mark.parametrize("name", TASKS)
def test_a_module_of_a_task_has_its_functions(name):
    assert isinstance(importlib.import_module(f"{task_package(name)}.task"), TaskModule)


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ("duration=3 -m", "duration=3 -m"),
        ("model.params.mass=2", "model.params.mass=2"),
        ("model.initial.x=2", "++model.initial.x=2"),
        ("fit.parameters.mass=fixed", "++fit.parameters.mass=fixed"),
        ("+fit.parameters.mass=fixed", "+fit.parameters.mass=fixed"),
        ("forecast=3", "++forecast=3"),
        ("model._target_=a.b model.c=1", "++model._target_=a.b ++model.c=1 model=own"),
        ("model._target_=a.b model=duffing", "++model._target_=a.b model=duffing"),
        ("fit._target_=a.b", "fit._target_=a.b"),
    ],
)
def test_keys_that_no_file_lists_are_opened(argv, expected):
    assert complete_overrides(argv.split(), CONF) == expected.split()
