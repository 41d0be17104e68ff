"""The log of a run, and the signals that stop it."""

import logging
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from experiments.cli.errors import TracebackNote
from experiments.runs.directory import timestamp, update_run_json

log = logging.getLogger("scansim")


@contextmanager
def log_to_file(directory: Path) -> Iterator[None]:
    """Write the log of the run to ``run.log`` in its directory."""
    handler = logging.FileHandler(directory / "run.log", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    level, propagate = log.level, log.propagate
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    try:
        yield
    finally:
        log.removeHandler(handler)
        handler.close()
        log.setLevel(level)
        log.propagate = propagate


@contextmanager
def record_failure(directory: Path) -> Iterator[None]:
    """Record an exception that ends the run: its traceback in run.log, its text in run.json.

    The exception goes on, with a `TracebackNote`.
    """
    try:
        yield
    except BaseException as error:
        log.exception("failed")
        interrupted = isinstance(error, KeyboardInterrupt)
        with suppress(OSError):  # on a full disk the first error is the one to report
            update_run_json(
                directory,
                status="interrupted" if interrupted else "failed",
                ended=timestamp(),
                message=f"{type(error).__name__}: {error}",
            )
        error.add_note(TracebackNote(f"(traceback in {directory / 'run.log'})"))
        raise


@contextmanager
def catch_signals() -> Iterator[list[int]]:
    """Collect SIGTERM and SIGINT, for the next chunk to see; a second one ends at once."""
    caught: list[int] = []

    def note(number, frame):
        if caught:
            raise KeyboardInterrupt
        caught.append(number)
        log.info("signal %d: stopping at the next chunk, at %s", number, time.strftime("%H:%M:%S"))

    before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
