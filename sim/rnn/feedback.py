"""A network whose input includes its own last output, or the true one."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from sim import Stepper, check
from sim.step import as_pytree


class Carry(NamedTuple):
    """The carry of `feedback`: the carry of the network, and its last output."""

    network: Any
    y: jax.Array


class Fed(NamedTuple):
    """The input of `feedback` at step k.

    Attributes:
        u: (..., inputs), or None for a network without other inputs.
        teacher: (..., outputs), the true output at the end of step k − 1; NaN is missing.
        forced: bool, () or (...), whether the teacher is fed.
    """

    u: Any
    teacher: jax.Array
    forced: jax.Array


def feedback(stepper: Stepper, y0: jax.Array) -> Stepper:
    """A network whose inputs are u and the last output:

        v_k = teacher_k where forced_k and it is not NaN, else y_{k−1}
        (c, y_k) ← step(c, [u_k, v_k])

    Args:
        stepper: a network whose x is u and the output side by side.
        y0: (outputs,), the output before the first step.

    Returns:
        A `Stepper`: x is `Fed` or such a tuple, the carry is `Carry`. ``forced`` comes from
        `teacher_forcing_mask`, `free_running_mask` or `scheduled_sampling_mask`, before the scan.

    Raises:
        ValueError: y0 has no axis; from the step, widths disagree.

    Reference: R. J. Williams and D. Zipser, Neural Computation 1 (1989).

    >>> from sim import rollout
    >>> add = Stepper(lambda: jnp.zeros(1), lambda c, x: (c, x[:1] + x[1:]))
    >>> stepper = feedback(add, jnp.zeros(1))
    >>> xs = Fed(jnp.ones((4, 1)), jnp.full((4, 1), 10.0), free_running_mask(4, warm_up=2))
    >>> rollout(stepper.step, stepper.init(), xs)[1][:, 0].tolist()
    [11.0, 11.0, 12.0, 13.0]
    """
    if jnp.ndim(y0) < 1:
        raise ValueError("y0: expected shape (outputs,), got a scalar")
    return Stepper(
        Partial(_init, as_pytree(stepper.init), jnp.asarray(y0)),
        Partial(_step, as_pytree(stepper.step)),
    )


def _init(init, y0, carry=None):
    if carry is None:
        return Carry(init(), y0)
    network, y = _pair(carry)
    if jnp.shape(y)[-1:] != y0.shape:
        raise ValueError(f"carry.y: expected (..., {y0.shape[0]}), got shape {jnp.shape(y)}")
    return Carry(init(network), jnp.asarray(y, y0.dtype))


def _step(step, carry, x):
    if not isinstance(x, tuple) or len(x) != 3:
        raise ValueError(f"x: expected (u, teacher, forced), got {check.describe(x)}")
    network, last = _pair(carry)
    u, teacher, forced = x
    teacher, forced = jnp.asarray(teacher), jnp.asarray(forced)
    if check.aval(teacher) != check.aval(last):
        raise ValueError(
            f"teacher: expected {check.aval(last)}, as the output, got {check.aval(teacher)}"
        )
    if forced.dtype != bool or forced.shape not in ((), teacher.shape[:-1]):
        raise ValueError(
            f"forced: expected bool[] or one for each of the batch {teacher.shape[:-1]}, "
            f"got {check.aval(forced)}"
        )
    if forced.ndim:
        forced = forced[..., None]
    forced = jnp.broadcast_to(forced, teacher.shape)
    fed = jnp.where(forced & ~jnp.isnan(teacher), teacher, last)
    if u is not None:
        u = jnp.asarray(u)
        if u.shape[:-1] != fed.shape[:-1] or not u.ndim:
            axes = "".join(f"{n}, " for n in fed.shape[:-1])
            raise ValueError(
                f"u: expected ({axes}inputs{'' if axes else ','}), with the batch axes of the "
                f"output, got shape {u.shape}"
            )
        fed = jnp.concatenate([u, fed], axis=-1)
    network, y = check.pair(step(network, fed))
    return Carry(network, y), y


def _pair(carry):
    if not isinstance(carry, tuple) or len(carry) != 2:
        raise ValueError(f"carry: expected the pair (network, y), got {check.describe(carry)}")
    return carry


def teacher_forcing_mask(n: int) -> np.ndarray:
    """``forced`` for n steps that all get the true output: one-step prediction.

    >>> teacher_forcing_mask(3).tolist()
    [True, True, True]
    """
    return np.ones(check.positive("n", n), bool)


def free_running_mask(n: int, *, warm_up: int = 0) -> np.ndarray:
    """``forced`` for n steps of simulation; the first ``warm_up`` get the true output.

    Raises:
        ValueError: the record is shorter than the warm-up.

    >>> free_running_mask(4, warm_up=1).tolist()
    [True, False, False, False]
    """
    n = check.positive("n", n)
    whole = isinstance(warm_up, int | np.integer) and not isinstance(warm_up, bool)
    if not whole or not 0 <= warm_up < n:
        raise ValueError(
            f"warm_up: expected an integer of 0 to {n - 1}, of {n} steps, got {warm_up!r}"
        )
    return np.arange(n) < warm_up


def scheduled_sampling_mask(key: jax.Array, probability: Any, n: int) -> jax.Array:
    """``forced`` for n steps, each of which gets the true output with a probability.

    Args:
        key: of `jax.random.key`.
        probability: of the true output: () for all steps, or (n,) or (n, batch) for each.
            Lowered during training, it teaches the network to use its own output.
        n: steps.

    Returns:
        bool, (n,), or the shape of ``probability``.

    Raises:
        ValueError: ``probability`` has another leading axis, or is not between 0 and 1.

    Reference: S. Bengio et al., "Scheduled sampling", NeurIPS 2015, arXiv 1506.03099.

    >>> scheduled_sampling_mask(jax.random.key(0), 1.0, 3).tolist()
    [True, True, True]
    """
    n = check.positive("n", n)
    check.arrays("probability", probability)
    shape = jnp.shape(probability) or (n,)
    if shape[0] != n:
        raise ValueError(f"probability: expected () or ({n}, ...), got shape {shape}")
    if not isinstance(probability, jax.core.Tracer):
        outside = [float(p) for p in np.ravel(probability) if not 0 <= p <= 1]
        if outside:
            raise ValueError(f"probability: expected numbers from 0 to 1, got {outside[0]:g}")
    probability = jnp.asarray(probability)
    if not jnp.issubdtype(probability.dtype, jnp.floating):
        probability = probability.astype(jnp.result_type(float))
    return jax.random.bernoulli(key, probability, shape)
