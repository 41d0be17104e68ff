"""The end of a message is the same in the library and on the command line."""

import inspect

import pytest

import sim.messages
from experiments.cli import messages


@pytest.mark.parametrize("name", ["nearest_choice", "suggest"])
def test_the_library_and_the_command_line_suggest_alike(name):
    one, other = (inspect.getsource(vars(module)[name]) for module in (messages, sim.messages))
    assert one == other
