"""What a command prints when it fails, and the code with which it exits."""

import sys
import traceback
from collections.abc import Callable

from experiments.cli.exit_codes import ExitCode


class TracebackNote(str):
    """A note on an exception that says in which file its traceback is."""


def exit_code_of(run: Callable[[], int]) -> int:
    """The exit code of a run; an error becomes one or two lines on stderr."""
    try:
        return run()
    except ValueError as error:
        print_error(str(error))
        return ExitCode.CONFIGURATION
    except OSError as error:
        print_error(f"{error.strerror}: {error.filename}" if error.filename else str(error))
        return ExitCode.FILES
    except KeyboardInterrupt:
        print_error("interrupted")
        return ExitCode.INTERRUPTED
    except Exception as error:
        first_line = next(iter(str(error).splitlines()), "")
        print_error(f"{type(error).__name__}: {first_line} {_where_raised(error)}")
        return ExitCode.FAILED


def _where_raised(error: Exception) -> str:
    """Where the traceback is, or the last line of the project's or the user's code in it."""
    for note in getattr(error, "__notes__", ()):
        if isinstance(note, TracebackNote):
            return note
    frames = traceback.extract_tb(error.__traceback__)
    frames = [frame for frame in frames if "site-packages" not in frame.filename] or frames
    return f"({frames[-1].filename}:{frames[-1].lineno})"


def print_error(message: str) -> None:
    """Print the lines of a message on stderr."""
    lines = [line.strip() for line in message.strip().splitlines()]
    print("scansim: " + "\n         ".join(lines), file=sys.stderr)
