"""One call in a fresh process: for peak memory, and for work with a time limit."""

import json
import resource
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

STATUS = Path("/proc/self/status")


def call(target: str, *args: Any, timeout: float | None = None) -> Any:
    """``module:function(*args)`` in a fresh Python with float64 on; JSON in and out.

    Raises:
        subprocess.TimeoutExpired: it took longer than ``timeout`` seconds.
        RuntimeError: it failed; the message is the last line of its error.
    """
    command = [sys.executable, "-m", "benchmarks.child", target, json.dumps(args)]
    home = Path(__file__).resolve().parent.parent
    completed = subprocess.run(command, capture_output=True, text=True, timeout=timeout, cwd=home)
    if completed.returncode:
        raise RuntimeError(f"{target}: {completed.stderr.strip().splitlines()[-1]}")
    return json.loads(completed.stdout.splitlines()[-1])


def memory_mb(peak: bool) -> float:
    """Resident memory of this process in MB, now or at its peak.

    On Linux read from the process itself, as getrusage includes the peak of the process
    that started it.
    """
    if STATUS.exists():
        key = "VmHWM:" if peak else "VmRSS:"
        line = next(line for line in STATUS.read_text().splitlines() if line.startswith(key))
        return int(line.split()[1]) * 1024 / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def main() -> None:
    import jax

    import sim  # noqa: F401  its XLA flag comes before the first array

    jax.config.update("jax_enable_x64", True)
    target, args = sys.argv[1:]
    module, function = target.split(":")
    print(json.dumps(getattr(import_module(module), function)(*json.loads(args))))


if __name__ == "__main__":
    main()
