"""Strict JAX for tests and doctests: no silent rank or dtype promotion, float64 on."""

import gc
import os
from pathlib import Path

# Most of the time goes into compiling: XLA's older emitters do it in three quarters of
# the time, and a program in one piece, as each core has a test of its own, in 0.92 of that.
# The whole suite also passes with the newer emitters: XLA_FLAGS= make test
os.environ.setdefault(
    "XLA_FLAGS", "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
)
# Threads of LAPACK that wait for a core that another test has made it fifty times slower.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import hypothesis
import jax
import pytest

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")

# No deadline: the first example compiles. In CI the same examples every time.
hypothesis.settings.register_profile(
    "scansim", deadline=None, derandomize="CI" in os.environ, print_blob=True
)
hypothesis.settings.load_profile("scansim")


@pytest.fixture(scope="session")
def shared():
    """The folder of recorded data and published values beside the checkout."""
    folder = Path(__file__).resolve().parent.parent / "shared"
    if not folder.is_dir():
        pytest.skip("needs ../shared (recorded data and published values), which is not here")
    return folder


@pytest.fixture(autouse=True, scope="module")
def _garbage_between_files():
    """Walking through all that was compiled before, to find garbage, took a tenth of the time."""
    gc.disable()
    yield
    gc.collect()
    gc.freeze()
