"""A long record in pieces of equal length, for training on all of them in parallel."""

import jax
import jax.numpy as jnp
import numpy as np

from sim import check
from sim.records.experiment import Experiment


def pieces(experiment: Experiment, length: int, *, warmup: int = 0) -> list[Experiment]:
    """Pieces that cover a record, each with a warm-up in which errors do not count:

        piece i = samples [i L, i L + warmup + L),   y of the first ``warmup`` is NaN

    A network starts each piece from rest and settles during the warm-up. Every sample after
    the first ``warmup`` counts in exactly one piece. All pieces have the same length, so that
    they compile as one run: the last one ends with the record, and the samples that an earlier
    piece has counted are NaN in it.

    Args:
        experiment: of N samples.
        length: L, the number of samples that count in a piece; fewer if the record has fewer.
        warmup: the number of samples before them.

    Returns:
        ⌈(N − warmup) / L⌉ experiments without y0.

    Raises:
        ValueError: it is not an `Experiment`, or has no sample after the warm-up.

    Reference: M. Forgione and D. Piga, Eur. J. Control 59 (2021) 69-81, who train
    neural models on pieces of long records.

    >>> e = Experiment(jnp.arange(5.0), jnp.arange(5.0)[:, None])
    >>> [(p.xs.tolist(), p.y[:, 0].tolist()) for p in pieces(e, 2, warmup=1)]
    [([0.0, 1.0, 2.0], [nan, 1.0, 2.0]), ([2.0, 3.0, 4.0], [nan, 3.0, 4.0])]
    """
    if not isinstance(experiment, Experiment):
        raise ValueError(f"experiment: expected an Experiment, got {type(experiment).__name__}")
    length = check.positive("length", length)
    if isinstance(warmup, bool) or not isinstance(warmup, int | np.integer) or warmup < 0:
        raise ValueError(f"warmup: expected an integer of at least 0, got {warmup!r}")
    n = len(experiment.y)
    if n <= warmup:
        raise ValueError(
            f"experiment: expected at least {warmup + 1} samples, one more than "
            f"the warm-up, got {n}"
        )
    length = min(length, n - warmup)
    segments = []
    for counted in range(warmup, n, length):
        first = min(counted, n - length) - warmup
        samples = slice(first, first + warmup + length)
        ignored = np.arange(first, first + warmup + length) < counted
        y = jnp.where(ignored[:, None], jnp.nan, jnp.asarray(experiment.y)[samples])
        xs = jax.tree.map(lambda x, samples=samples: x[samples], experiment.xs)
        segments.append(Experiment(xs, y))
    return segments
