"""The exit codes of the command line."""

from enum import IntEnum


class ExitCode(IntEnum):
    """How a command ended."""

    DONE = 0
    FAILED = 1  # an error in the code of a piece; the traceback is in run.log
    CONFIGURATION = 2  # wrong configuration; nothing was run
    DIVERGED = 3  # the run left the finite numbers; what came before is kept
    FILES = 4  # a file cannot be read or written
    NOT_FINITE = 5  # the loss of a search left the finite numbers; its best point is kept
    STOPPED = 75  # by SIGTERM; the run can be resumed
    INTERRUPTED = 130  # by Ctrl-C; the run can be resumed
