"""The state at the start of a record, from its first samples."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from sim import check
from sim.inputs import at
from sim.records.experiment import Experiment
from sim.rnn.mlp import mlp, mlp_params
from sim.rnn.scaling import Scaling


class Seen(NamedTuple):
    """The first n samples of a record: u (n, inputs) and y (n, outputs)."""

    u: Any
    y: Any


def split_window(experiment: Experiment, n: int) -> tuple[Seen, Experiment]:
    """Split a record: the window that an encoder reads, and the rest, which is simulated.

    Args:
        experiment: of more than n samples; its inputs (N, …) are read at the start of each
            step.
        n: samples for the encoder.

    Returns:
        `Seen`, and the experiment from sample n on, without y0.

    Raises:
        ValueError: the record has no more than n samples, or one of the first n inputs or
            outputs is missing.

    Reference: as `encoder`.

    >>> e = Experiment(jnp.arange(4.0)[:, None], jnp.arange(4.0)[:, None])
    >>> window, rest = split_window(e, 3)
    >>> window.u[:, 0].tolist(), rest.y[:, 0].tolist()
    ([0.0, 1.0, 2.0], [3.0])
    """
    n = check.positive("n", n)
    if len(experiment.y) <= n:
        raise ValueError(
            f"experiment: expected more than {n} samples, which the encoder reads, "
            f"got {len(experiment.y)}"
        )
    y = jnp.asarray(experiment.y)[:n]
    _check_complete("experiment.y", y)
    before, after = (
        jax.tree.map(lambda x, part=part: x[part], experiment.xs)
        for part in (slice(n), slice(n, None))
    )
    u = [jnp.reshape(x, (n, -1)).astype(y.dtype) for x in jax.tree.leaves(at(before, 0.0))]
    u = jnp.concatenate([jnp.zeros((n, 0), y.dtype), *u], axis=1)
    _check_complete("experiment.xs", u)
    return Seen(u, y), Experiment(after, jnp.asarray(experiment.y)[n:])


def _check_complete(name, x):
    """Raise ValueError unless every sample is finite; a tracer passes."""
    if isinstance(x, jax.core.Tracer):
        return
    bad = ~np.isfinite(np.asarray(x)).reshape(len(x), -1).all(axis=1)
    if bad.any():
        k = int(np.argmax(bad))
        got = "NaN" if np.isnan(np.asarray(x)[k]).any() else "infinity"
        raise ValueError(
            f"{name}: expected finite numbers in the first {len(x)} samples, which the encoder "
            f"reads, got {got} in sample {k}"
        )


def encoder_params(
    key: jax.Array, window: Seen, states: int, hidden: Sequence[int] = (16,), *, dtype: Any = None
):
    """Random initial parameters of `encoder`; its last layer is small, so the state is near zero.

    Args:
        window: of `split_window`, for its sizes.
        states: how many numbers the state has.
        hidden: widths of the hidden layers.

    >>> window = Seen(jnp.zeros((5, 1)), jnp.zeros((5, 2)))
    >>> [W.shape for W, b in encoder_params(jax.random.key(0), window, 3)]
    [(15, 16), (16, 3)]
    """
    return mlp_params(key, (window.u.size + window.y.size, *hidden, states), dtype=dtype, gain=0.1)


def encoder(params: Any, window: Seen, scaling: Scaling | None = None) -> jax.Array:
    """The state after the first n samples of input and output:

        s_n = MLP([u_0 … u_{n−1}, y_0 … y_{n−1}])

    In a fit the windows take the place of the states, and the encoder maps them to initial
    states::

        windows, rest = zip(*(split_window(e, n) for e in experiments))
        objective = Simulation(model, initial=lambda p, window: encoder(p["encoder"], window))
        fit(objective, start, rest, states=list(windows), free_states=False)

    Args:
        params: of `encoder_params`.
        window: `Seen`.
        scaling: of the record, if the window is in the units of the record.

    Returns:
        s (states,).

    Raises:
        ValueError: the window does not fit the size of the parameters, or a sample of it is
            missing.

    Reference: G. Beintema, R. Tóth and M. Schoukens, "Nonlinear state-space identification
    using deep encoder networks", L4DC 2021.

    >>> window = Seen(jnp.zeros((2, 1)), jnp.ones((2, 1)))
    >>> encoder(((jnp.ones((4, 1)), jnp.zeros(1)),), window).tolist()
    [2.0]
    """
    u, y = (jnp.asarray(x, params[0][0].dtype) for x in window)
    _check_complete("window.u", u)
    _check_complete("window.y", y)
    if scaling is not None:
        scale = jax.tree.map(lambda x: jnp.asarray(x, u.dtype)[None], scaling)
        u, y = (u - scale.u_mean) / scale.u_scale, (y - scale.y_mean) / scale.y_scale
    return mlp(params, jnp.concatenate([jnp.ravel(u), jnp.ravel(y)]))
