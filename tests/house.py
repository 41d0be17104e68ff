"""The house in numbers: what a reader would trip over, counted without running any of it.

``python -m tests.house [CHECKOUT]`` prints the counts of a checkout, this one by default.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PACKAGES = ("sim", "integrators", "filters", "experiments", "benchmarks")
LONGEST = 300  # lines of a file

# A word that ends in -ed, or one of these, and nothing more: no name for what a function does.
PARTICIPLES = {
    *("alike", "apart", "begun", "beside", "bound", "broken", "brought", "built", "caught"),
    *("chosen", "done", "drawn", "fed", "foreseen", "found", "given", "going", "gone", "grown"),
    *("held", "hidden", "kept", "known", "left", "lost", "made", "meant", "met", "said", "seen"),
    *("sent", "shown", "spent", "stuck", "taken", "thought", "thrown", "told", "unbegun"),
    *("unseen", "worn", "written"),
}
NO_PARTICIPLES = {"embed", "exceed", "feed", "need", "proceed", "seed", "speed"}
TUPLE_METHODS = {"_asdict", "_fields", "_make", "_replace"}
TERMS = {"extended", "unscented"}  # filters that the field calls so

TEXTS = re.compile(
    r"(str\(\w+\)|\w+\.args\[0\]|\btext|\bmessage|\bhint|\bclose)( ==| !=|\.startswith|\.endswith)"
    r"|in str\(error\)"
)
PROBES = re.compile(r"\b(hasattr|getattr)\(")
SKIPS = re.compile(r"# fmt: (skip|off)")


class Function(NamedTuple):
    """A function or class where it is defined: the file, the line, and its syntax tree."""

    file: Path
    node: ast.FunctionDef | ast.ClassDef

    def __str__(self) -> str:
        return f"{self.file}:{self.node.lineno} {self.node.name}"


def files(root: Path) -> list[Path]:
    """All files of code below the packages."""
    return [path for package in PACKAGES for path in sorted((root / package).rglob("*.py"))]


def definitions(path: Path, kinds: tuple = (ast.FunctionDef,)) -> Iterator[Function]:
    """Every function of a file, nested ones and methods included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, kinds):
            yield Function(path, node)


def is_participle(name: str) -> bool:
    """Whether a name is a bare participle.

    >>> is_participle("_concluded"), is_participle("held"), is_participle("held_input")
    (True, True, False)
    """
    word = name.strip("_")
    regular = re.fullmatch(r"[a-z]+ed", word) and word not in NO_PARTICIPLES | TERMS
    return bool(regular) or word in PARTICIPLES


def participles(root: Path) -> list[Function]:
    """Functions whose name is a bare participle."""
    return [f for path in files(root) for f in definitions(path) if is_participle(f.node.name)]


def without_docstring(root: Path) -> list[Function]:
    """Public functions and classes at the top of a module without a docstring."""
    return [
        Function(path, node)
        for path in files(root)
        if path.relative_to(root).parts[0] != "benchmarks"
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and not ast.get_docstring(node)
    ]


def private_uses(root: Path) -> list[str]:
    """Names with a leading underscore that one module takes from another of the project."""
    return [use for path in files(root) for use in _private_uses_of(path)]


def _private_uses_of(path: Path) -> Iterator[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    ours = [node for node in imports if (node.module or "").split(".")[0] in PACKAGES]
    local = {alias.asname or alias.name for node in ours for alias in node.names}
    for node in ours:
        yield from (f"{path}:{node.lineno} {a.name}" for a in node.names if a.name.startswith("_"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            private = re.match(r"_[a-z]", node.attr) and node.attr not in TUPLE_METHODS
            if private and node.value.id in local and node.value.id.islower():
                yield f"{path}:{node.lineno} {node.value.id}.{node.attr}"


def lines_with(root: Path, pattern: re.Pattern) -> list[str]:
    """Lines of code in which a pattern stands."""
    return [
        f"{path}:{number}"
        for path in files(root)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if pattern.search(line)
    ]


def long_files(root: Path) -> list[Path]:
    """Files of code or tests that are longer than one sitting."""
    return [
        path
        for path in (*files(root), *sorted((root / "tests").rglob("*.py")))
        if len(path.read_text(encoding="utf-8").splitlines()) > LONGEST
    ]


def main(root: Path) -> None:
    """Print the counts."""
    count = sum(1 for path in files(root) for _ in definitions(path))
    rows = {
        f"functions named by a bare participle, of {count}": participles(root),
        "public functions and classes without a docstring": without_docstring(root),
        "private names taken from another module": private_uses(root),
        "decisions by the text of a message": lines_with(root, TEXTS),
        "hasattr and getattr": lines_with(root, PROBES),
        "lines that the formatter skips": lines_with(root, SKIPS),
        f"files of more than {LONGEST} lines": long_files(root),
    }
    for what, places in rows.items():
        print(f"{len(places):5}  {what}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent))
