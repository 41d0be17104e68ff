"""This project against its peers: the same work, side by side, in one process.

``python -m benchmarks [PATTERN ...] [--json FILE]`` prints a table. Every module here
with a dict ``ROWS`` of name to function is a family of rows; the function takes sizes,
all with defaults, and returns a `benchmarks.measure.Work`.

Importing `sim` sets an XLA flag that keeps small loops native (`sim.xla`). The peers
run in the same process and have the same flag, which helps them as it helps this project.
"""
