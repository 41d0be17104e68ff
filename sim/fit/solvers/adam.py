"""Adam as it trains networks: with clipped gradients and a falling learning rate."""

from functools import cache

import optax


@cache
def adam(rate: float = 1e-2, *, updates: int | None = None, clip: float | None = None):
    """Adam with the rate η_k = ½ η (1 + cos(π k / K)), on gradients g min(1, c / |g|).

    Args:
        rate: η.
        updates: K, after which the rate is 0; None keeps it constant.
        clip: c; None leaves gradients as they are.

    Returns:
        A transformation of optax: the same object for the same numbers, so that searches
        share what is compiled.

    Reference: D. P. Kingma and J. Ba, "Adam: a method for stochastic optimization", ICLR
    2015; I. Loshchilov and F. Hutter, "SGDR", ICLR 2017, for the cosine.

    >>> adam(0.01, updates=100) is adam(0.01, updates=100)
    True
    """
    schedule = rate if updates is None else optax.cosine_decay_schedule(rate, updates)
    clipping = () if clip is None else (optax.clip_by_global_norm(clip),)
    return optax.chain(*clipping, optax.adam(schedule))
