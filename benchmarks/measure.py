"""Timing ours and each peer in turn, in one process, after their results agree."""

import os
import platform
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

PACKAGES = ("scansim", "jax", "jaxlib", "numpy")
LONG = 20.0  # s: a first run longer than this is not repeated
BUDGET = 60.0  # s for the rounds of one row, after the third

# A side makes everything ready (imports, inputs, compiling) and returns what is timed:
# a function of nothing that returns its finished result.
Run = Callable[[], Any]
Side = Callable[[], Run]


class Timed(NamedTuple):
    """The result of a run that measures its own time, such as one that compiles."""

    seconds: float
    result: Any


class Work(NamedTuple):
    """One row: the same work by this project and by its peers.

    Attributes:
        unit: of the figure; smaller is better.
        scale: figure of one second, such as 10⁹ over the number of steps.
        ours: the side of this project.
        peers: a side for each peer, under its package's name in lower case or a word.
        compare: ``compare(ours, peer)``, what is wrong with the peer's result, or None.
        extra: further keys of the row, measured last.
        close: removes temporary files of the sides.
    """

    unit: str
    scale: float
    ours: Side
    peers: Mapping[str, Side]
    compare: Callable[[Any, Any], str | None]
    extra: Callable[[], dict[str, Any]] = dict
    close: Callable[[], Any] = lambda: None


def measure(name: str, work: Work, *, rounds: int = 9) -> dict[str, Any]:
    """Measure one work; the row is ready for JSON.

    Each side is made ready and run once, which gives its ``compile_s`` and the result to
    compare. Then all take turns, and each round begins with another side. There are at
    least three rounds, and more of them within 60 s. A side whose first run takes longer
    than 20 s is not repeated, and a note says so.

    Returns:
        name, unit, ours and peers with median, min and max in that unit, compile_s of
        ours, versions; where they apply also missing (peers that are not installed, and
        why), notes, error (then nothing was timed), and the extra keys of the work.
    """
    row = {"name": name, "unit": work.unit, "ours": None, "peers": {}, "compile_s": None}
    row["versions"] = versions(work.peers)
    try:
        _fill(row, work, rounds)
    except Exception as error:  # a row that fails must not stop the others
        lines = str(error).strip().splitlines() or [""]
        row |= {"ours": None, "peers": {}, "error": f"{type(error).__name__}: {lines[0]}"}
    finally:
        work.close()
    return row


def _fill(row, work, rounds):
    runs, seconds, missing, notes, faults = {}, {}, {}, [], []
    for side, make in {"ours": work.ours, **work.peers}.items():
        tic = time.perf_counter()
        try:
            run = make()
            first, result = _time_run(run)
        except ImportError as error:
            if side == "ours":
                raise
            missing[side] = str(error)
            continue
        except subprocess.TimeoutExpired as error:
            seconds[side] = [error.timeout]
            notes.append(f"{side}: stopped after {error.timeout:g} s, which its figure is")
            continue
        if side == "ours":
            row["compile_s"] = round(time.perf_counter() - tic - first, 4)
            ours = result
        elif fault := work.compare(ours, result):
            faults.append(f"{side}: {fault}")
        if first > LONG:
            seconds[side] = [first]
            notes.append(f"{side}: one run")
        else:
            runs[side], seconds[side] = run, []
        del result
    row |= {key: value for key, value in [("missing", missing), ("notes", notes)] if value}
    if faults:
        row["error"] = "results disagree, nothing timed: " + "; ".join(faults)
        return
    del ours

    begin = time.perf_counter()
    for turn in range(rounds):
        if turn >= 3 and time.perf_counter() - begin > BUDGET:
            break
        for side in runs:
            seconds[side].append(_time_run(runs[side]).seconds)
        runs = dict([*runs.items()][1:] + [*runs.items()][:1])
    figures = {side: _figure(s, work.scale) for side, s in seconds.items()}
    row["ours"] = figures.pop("ours")
    row["peers"] = figures
    row |= work.extra()


def _time_run(run) -> Timed:
    tic = time.perf_counter()
    result = run()
    toc = time.perf_counter()
    return result if isinstance(result, Timed) else Timed(toc - tic, result)


def _figure(seconds, scale):
    values = np.asarray(seconds) * scale
    middle = float(np.median(values))
    return {"median": middle, "min": float(values.min()), "max": float(values.max())}


def compile_run(f: Callable[..., Any], *args: Any) -> Run:
    """f compiled for args: a run that ends when all its results are ready.

    >>> import jax.numpy as jnp
    >>> compile_run(lambda x: 2 * x, jnp.arange(3))().tolist()
    [0, 2, 4]
    """
    program = jax.jit(f).lower(*args).compile()
    return lambda: jax.block_until_ready(program(*args))


def close(rtol: float) -> Callable[[Any, Any], str | None]:
    """A comparison: each leaf to within rtol of its largest value.

    >>> close(1e-6)({"x": np.array([1.0, 2.0])}, (np.array([1.0, 2.1]),))
    'leaf 0 differs by 0.048 of its largest value, expected at most 1e-06'
    """

    def compare(ours, peer):
        a, b = ([np.asarray(leaf) for leaf in jax.tree.leaves(tree)] for tree in (ours, peer))
        if [x.shape for x in a] != [x.shape for x in b]:
            return f"expected arrays {[x.shape for x in a]}, got {[x.shape for x in b]}"
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            error = np.max(np.abs(x - y)) / max(np.max(np.abs(y)), 1e-300)
            if not error <= rtol:  # not a number is not close
                return (
                    f"leaf {i} differs by {error:.2g} of its largest value, "
                    f"expected at most {rtol:g}"
                )
        return None

    return compare


def versions(packages: Iterable[str] = ()) -> dict[str, str]:
    """The versions of installed packages and of Python, the CPU and the date."""
    installed = {"python": platform.python_version()}
    for package in (*PACKAGES, *packages):
        try:
            installed[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue  # a word for a peer, such as "plain", or a missing one
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    cpu = next(iter(models), platform.processor() or platform.machine())
    date = datetime.now(UTC).date().isoformat()
    return installed | {"cpu": f"{cpu}, {os.cpu_count()} cores", "date": date}
