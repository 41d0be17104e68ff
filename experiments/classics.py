"""The classic scans, one line each: `python -m experiments.classics`.

Each is a step and one call of `sim.rollout`, in the four ways a scan is used: with
input, without, backwards, and many at once.
"""

import jax
import jax.numpy as jnp

from sim import rollout


def cumulative_sum(xs):
    """ysₖ = x₀ + … + xₖ: the carry is the sum so far.

    >>> cumulative_sum(jnp.array([1.0, 2.0, 3.0, 4.0])).tolist()
    [1.0, 3.0, 6.0, 10.0]
    """
    return rollout(lambda total, x: (total + x, total + x), jnp.zeros_like(xs[0]), xs)[1]


def powers_of_two(n):
    """ysₖ = 2ᵏ⁺¹ for k = 0, …, n − 1: no input, so the length is given.

    >>> powers_of_two(5).tolist()
    [2, 4, 8, 16, 32]
    """
    return rollout(lambda power, _: (2 * power, 2 * power), 1, length=n)[1]


def backward_average(xs, weight):
    """ysₖ = w xₖ + (1 − w) ysₖ₊₁, with ys after the end 0: a scan in reverse.

    The outputs keep the order of the inputs: the future of sample k is what follows it.

    >>> backward_average(jnp.array([0.0, 0.0, 8.0]), 0.5).tolist()
    [1.0, 2.0, 4.0]
    """

    def step(average, x):
        average = weight * x + (1 - weight) * average
        return average, average

    return rollout(step, jnp.zeros_like(xs[0]), xs, reverse=True)[1]


def independent_sums(batch):
    """Every row's cumulative sum at once: `vmap` over a scan is a scan over a batch.

    >>> independent_sums(jnp.array([[1.0, 2.0, 3.0], [10.0, 20.0, 30.0]])).tolist()
    [[1.0, 3.0, 6.0], [10.0, 30.0, 60.0]]
    """
    return jax.vmap(cumulative_sum)(batch)


def main():
    """Print the result of each."""
    xs = jnp.arange(1.0, 6.0)
    print("cumulative sum           ", cumulative_sum(xs))
    print("powers of two, no input  ", powers_of_two(8))
    print("average of what follows  ", backward_average(xs, 0.5))
    print("a batch of sums          ", *independent_sums(jnp.stack([xs, -xs])))


if __name__ == "__main__":
    main()
