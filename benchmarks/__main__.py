"""``python -m benchmarks [PATTERN ...] [--json FILE]``: a table on the terminal, rows as JSON."""

import argparse
import json
import pkgutil
import sys
from collections.abc import Callable
from fnmatch import fnmatchcase
from importlib import import_module
from pathlib import Path
from typing import Any

import jax

import benchmarks
import sim  # noqa: F401  its XLA flag comes before the first array
from benchmarks.measure import Work, measure

LINE = "{:<24}{:<16}{:<12}{:>12}{:>12}{:>12}{:>9}{:>11}"
HEADER = LINE.format("name", "unit", "side", "median", "min", "max", "÷ ours", "compile s")


def rows() -> dict[str, Callable[[], Work]]:
    """Every row of every family: the ``ROWS`` of the modules of this package, by name."""
    works = {}
    for module in pkgutil.iter_modules(benchmarks.__path__):
        if not module.ispkg and module.name != "__main__":
            works |= getattr(import_module(f"benchmarks.{module.name}"), "ROWS", {})
    return works


def select(names: list[str], patterns: list[str]) -> list[str]:
    """The names that match any pattern (``*`` and ``?``), or belong to a named family.

    Raises:
        ValueError: a pattern matches nothing.

    >>> select(["ode.a", "ode.b", "scan.a"], ["ode"]), select(["ode.a", "scan.a"], ["*.a"])
    (['ode.a', 'ode.b'], ['ode.a', 'scan.a'])
    """
    chosen = set() if patterns else set(names)
    for pattern in patterns:
        matching = {n for n in names if fnmatchcase(n, pattern) or n.startswith(f"{pattern}.")}
        if not matching:
            known = ", ".join(names)
            raise ValueError(f"PATTERN: expected one that matches any of {known}; got {pattern!r}")
        chosen |= matching
    return [name for name in names if name in chosen]


def lines(row: dict[str, Any]) -> list[str]:
    """A row of the table: one line for ours, one for each peer, then the remarks."""
    if "error" in row:
        return [f"{row['name']:<24}{row['error']}"]
    sides = {"ours": row["ours"], **row["peers"]}
    text = []
    for side, figure in sides.items():
        first = (row["name"], row["unit"]) if side == "ours" else ("", "")
        ratio = figure["median"] / row["ours"]["median"]
        last = f"{row['compile_s']:.2f}" if side == "ours" else ""
        numbers = (f"{figure[key]:.4g}" for key in ("median", "min", "max"))
        text.append(LINE.format(*first, side, *numbers, f"{ratio:.2f}", last).rstrip())
    remarks = [*row.get("notes", [])]
    remarks += [f"missing peer {peer}: {why}" for peer, why in row.get("missing", {}).items()]
    if "peak_mb" in row:
        remarks.append("peak MB: " + ", ".join(f"{k} {v}" for k, v in row["peak_mb"].items()))
    return text + [f"{'':<40}{line}" for line in remarks]


def main(arguments: list[str] | None = None) -> int:
    """Measure the selected rows; the exit code is 1 if one of them is in error."""
    description = benchmarks.__doc__.splitlines()[0]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=description)
    parser.add_argument("patterns", nargs="*", metavar="PATTERN", help="rows, such as ode.chain_*")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows here")
    options = parser.parse_args(arguments)
    known = rows()
    try:
        names = select(list(known), options.patterns)
        if options.json:
            options.json.write_text("[]\n")
    except (ValueError, OSError) as error:
        parser.error(str(error))
    jax.config.update("jax_enable_x64", True)
    print(HEADER, flush=True)
    measured = []
    for name in names:
        measured.append(measure(name, known[name]()))
        print("\n".join(lines(measured[-1])), flush=True)
        if options.json:  # after each row: the finished ones survive an interrupt
            options.json.write_text(json.dumps(measured, indent=1) + "\n")
    versions = {key: value for row in measured for key, value in row["versions"].items()}
    print(", ".join(f"{key} {value}" for key, value in versions.items()))
    return int(any("error" in row for row in measured))


if __name__ == "__main__":
    sys.exit(main())
