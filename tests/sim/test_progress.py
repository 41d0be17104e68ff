"""What is said while a run goes: compiling and running apart, and nothing too often."""

import io
import re

import pytest

from sim.progress import progress
from sim.stream import Status


class Terminal(io.StringIO):
    def isatty(self):
        return True


def told(file, phases, **settings):
    with progress(dt=0.01, title="lorenz", file=file, **settings) as report:
        for phase, step, seconds in phases:
            report(Status(phase, step, 1000, 0, 0.25 if phase != "compiling" else 0.0, seconds))
    return file.getvalue()


RUN = [
    ("compiling", 0, 0.0),
    ("running", 0, 0.0),
    *[("running", k, k / 1000) for k in range(100, 1001, 100)],
    ("done", 1000, 1.0),
]


def test_plain_lines_at_a_modest_rate():
    assert told(io.StringIO(), RUN).splitlines() == [
        "lorenz: compiling",
        "lorenz: compiled in 0.25 s, running 1000 steps",
        "lorenz: done, 1000 of 1000 steps in 1 s, t = 10 s, 1 k steps/s",
    ]


def test_plain_lines_say_time_rate_and_what_is_left():
    lines = told(io.StringIO(), RUN, every=0.0).splitlines()
    assert len(lines) == 12
    assert lines[4] == ("lorenz: running, 300 of 1000 steps, t = 3 s, 1 k steps/s, 0.7 s left")


def test_one_step_is_one_step():
    file = io.StringIO()
    with progress(dt=1.0, file=file) as report:
        report(Status("running", 0, 1, 0, 0.25, 0.0))
        report(Status("done", 1, 1, 0, 0.25, 0.5))
    assert "running 1 step\n" in file.getvalue() and "1 of 1 step in" in file.getvalue()


@pytest.mark.parametrize("phase", ["stopped", "diverged"])
def test_an_early_end_is_said(phase):
    last = told(io.StringIO(), [*RUN[:5], (phase, 300, 0.3)]).splitlines()[-1]
    assert last == f"lorenz: {phase}, 300 of 1000 steps in 0.3 s, t = 3 s, 1 k steps/s"


def test_a_resumed_run_counts_its_own_steps():
    file = io.StringIO()
    with progress(dt=0.5, t0=1.0, file=file) as report:
        report(Status("compiling", 600, 1000, 600, 0.0, 0.0))
        report(Status("running", 600, 1000, 600, 100.0, 0.0))
        report(Status("done", 1000, 1000, 600, 100.0, 4000.0))
    assert file.getvalue().splitlines() == [
        "compiling (resumed at step 600)",
        "compiled in 1 min 40 s, running 400 steps",
        "done, 1000 of 1000 steps in 1 h 6 min, t = 501 s, 0.1 steps/s",
    ]


def test_a_terminal_shows_a_bar_with_compiling_and_running_apart(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", told(Terminal(), RUN))
    compiled, done = shown.rstrip().splitlines()[-2:]
    assert re.search(r"lorenz: compiled +━+ 0\.25 s", compiled)
    assert re.search(r"lorenz: done +━+ t = 10 s, 1 k steps/s", done)
    assert max(map(len, re.split(r"[\r\n]", shown))) <= 80


def test_a_dumb_terminal_gets_lines(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    assert "\x1b" not in told(Terminal(), RUN)
