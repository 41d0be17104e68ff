"""One XLA flag that keeps a small scan one native loop on a CPU.

XLA:CPU emits a `while` loop as a single native function only where its body touches
fewer bytes than a threshold, 1024 by default: 128 numbers in float64, which the
gradient of a three-state RK4 step already exceeds. Beyond it every fused operation of
every step is dispatched on its own: measured 10 to 50 times slower (Lorenz gradient
2500 against 66 ns a step, a chain of 4 masses 540 against 60). With 1 MiB, wide
ensembles and networks of 256 hidden units measured no slower than without.

XLA reads its flags once, when the first array is made: import `sim` before that.
Where the user has set ``xla_backend_extra_options`` already, theirs stays. XLA stops
the process at an option it does not know, so the flag is set only for the releases of
jaxlib that were seen to know it: 0.10 to 0.12.

Reference: the pass `SmallWhileLoopHoistingPass` in XLA, xla/service/cpu.
"""

import os

from jaxlib.version import __version__ as jaxlib_version

_OPTION = "xla_backend_extra_options"
_KNOWN = ("0.10.", "0.11.", "0.12.")
_THRESHOLD = f"--{_OPTION}=xla_cpu_small_while_loop_byte_threshold=1048576"


def keep_loops_native() -> None:
    """Add the flag to the environment variable XLA_FLAGS, unless its option is set there."""
    flags = os.environ.get("XLA_FLAGS", "")
    if _OPTION not in flags and jaxlib_version.startswith(_KNOWN):
        os.environ["XLA_FLAGS"] = f"{flags} {_THRESHOLD}".strip()
