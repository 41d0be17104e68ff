"""The precision and platform in which a run computes."""

from collections.abc import Iterator
from contextlib import contextmanager

from experiments.cli.config import Config


@contextmanager
def precision(config: Config) -> Iterator[None]:
    """Set the precision and the platform of a run while the block runs.

    The flag is the process's, not the thread's as with `jax.enable_x64`: programs that were
    compiled ahead of time read the flag of the process.
    """
    import jax

    import sim  # noqa: F401  (its XLA flag must be set before JAX makes its first array)

    if config.runtime.platform is not None:
        platforms = jax.config.jax_platforms
        jax.config.update("jax_platforms", config.runtime.platform)
        try:
            jax.devices(config.runtime.platform)
        except RuntimeError:
            jax.config.update("jax_platforms", platforms)
            raise ValueError(
                f"runtime.platform: JAX finds no {config.runtime.platform} here; "
                "null takes what there is"
            ) from None
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", config.runtime.precision == "float64")
    try:
        yield
    finally:
        jax.config.update("jax_enable_x64", before)
