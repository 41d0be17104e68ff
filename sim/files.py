"""Files that are replaced whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replace_file(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path that becomes ``path`` once the block has ended well.

    The temporary file lies in the same folder. It reaches the disk before it takes the
    name, and the folder does so after it: a crash leaves the old file or the new one, never
    a part of one. If the block raises, the old file stays and the temporary one is removed.

    Args:
        path: the file, replaced if it is there; its folder exists.

    Raises:
        OSError: the file cannot be written.

    Reference: POSIX.1-2017, fsync and rename.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with replace_file(f"{folder}/a.txt") as temporary:
    ...         size = temporary.write_text("whole")
    ...     Path(folder, "a.txt").read_text(), [file.name for file in Path(folder).iterdir()]
    ('whole', ['a.txt'])
    """
    path = Path(path)
    temporary = path.with_name(path.name + ".part")
    temporary.unlink(missing_ok=True)
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    # The new name is on the disk only with the folder; only POSIX can open a folder for that.
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
