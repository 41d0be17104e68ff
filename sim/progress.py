"""Progress of a stream: a live bar on a terminal, plain lines elsewhere."""

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import IO

from sim.stream import Status


@contextlib.contextmanager
def progress(
    *, dt: float, t0: float = 0.0, title: str = "", file: IO[str] | None = None, every: float = 10.0
) -> Iterator[Callable[[Status], None]]:
    """Yield the ``report`` of a stream; it shows compiling and running separately.

        t = t0 + step·dt,   rate = steps of this call / run seconds

    Args:
        dt, t0: step length and initial time, s.
        title: what runs, in a word or two.
        file: where to write; None is stderr. The bar needs a terminal.
        every: seconds between plain lines, at least.

    Reference: rich (rich.readthedocs.io), for the bar.

    >>> from sim.stream import Status
    >>> with progress(dt=0.01, title="lorenz", file=sys.stdout) as report:
    ...     report(Status("compiling", 0, 1000, 0, 0.0, 0.0))
    ...     report(Status("running", 0, 1000, 0, 0.25, 0.0))
    ...     report(Status("done", 1000, 1000, 0, 0.25, 0.5))
    lorenz: compiling
    lorenz: compiled in 0.25 s, running 1000 steps
    lorenz: done, 1000 of 1000 steps in 0.5 s, t = 10 s, 2 k steps/s
    """
    file = sys.stderr if file is None else file
    lead = f"{title}: " if title else ""
    if file.isatty() and os.environ.get("TERM") != "dumb":
        with _bar(lead, dt, t0, file) as report:
            yield report
    else:
        yield _lines(lead, dt, t0, file, every)


def _lines(lead, dt, t0, file, every):
    last = -float("inf")

    def report(status):
        nonlocal last
        now = time.monotonic()
        midway = status.phase == "running" and status.step > status.resumed
        if midway and (now - last < every or status.step == status.length):
            return
        last = now
        print(f"{lead}{_sentence(status, dt, t0)}", file=file, flush=True)

    return report


@contextlib.contextmanager
def _bar(lead, dt, t0, file):
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

    columns = (
        SpinnerColumn(finished_text=" "),
        TextColumn("{task.description}"),
        BarColumn(14),
        TextColumn("{task.fields[text]}"),
    )
    with Progress(*columns, console=Console(file=file)) as display:
        compiling = display.add_task(f"{lead}compiling", total=None, text="")
        running = display.add_task(f"{lead}running", start=False, visible=False, total=1, text="")

        def report(status):
            if status.phase == "compiling":
                return
            if not display.tasks[running].started:
                spent = _duration(status.compile_seconds)
                display.update(
                    compiling, total=1, completed=1, description=f"{lead}compiled", text=spent
                )
                display.start_task(running)
            display.update(
                running,
                total=status.length,
                completed=status.step,
                visible=True,
                description=f"{lead}{status.phase}",
                text=_figures(status, dt, t0),
            )
            if status.phase != "running":
                display.stop_task(running)

        yield report


def _sentence(status, dt, t0):
    if status.phase == "compiling":
        resumed = f" (resumed at step {status.step})" if status.resumed else ""
        return f"compiling{resumed}"
    steps_left = status.length - status.step
    if status.phase == "running" and status.step == status.resumed:
        return f"compiled in {_duration(status.compile_seconds)}, running {_steps(steps_left)}"
    spent = "" if status.phase == "running" else f" in {_duration(status.run_seconds)}"
    steps_done = f"{status.step} of {_steps(status.length)}{spent}"
    return f"{status.phase}, {steps_done}, {_figures(status, dt, t0)}"


def _steps(count):
    return f"{count} step" if count == 1 else f"{count} steps"


def _figures(status, dt, t0):
    """Simulated time, rate and time left, as far as they are known."""
    figures = [f"t = {t0 + status.step * dt:.6g} s"]
    steps = status.step - status.resumed
    if steps and status.run_seconds > 0:
        rate = steps / status.run_seconds
        figures.append(f"{_metric(rate)}steps/s")
        if status.phase == "running":
            figures.append(f"{_duration((status.length - status.step) / rate)} left")
    return ", ".join(figures)


def _metric(value):
    for size, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g} {prefix} "
    return f"{value:.3g} "


def _duration(seconds):
    if seconds < 99.5:
        return f"{seconds:.2g} s"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"
