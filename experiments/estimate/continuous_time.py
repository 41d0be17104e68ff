"""Estimators of states in continuous time, observed at any times: linear, and any model's."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from experiments.cli.messages import suggest
from experiments.estimate.estimators import Estimator
from experiments.models import at_zero_input
from filters.continuous import continuous_extended
from filters.discretise import LinearSDE, discretise
from filters.gaussian import Gaussian
from filters.kalman import LinearGaussian, kalman
from integrators import rk4
from sim.models import Quantity


def linear(
    t: Any,
    y: Any,
    A: Any,
    Qc: Any,
    H: Any,
    R: Any,
    covariance: Any,
    L: Any = None,
    b: Any = None,
    mean: Any = None,
    states: tuple[str, ...] | None = None,
    units: tuple[str, ...] | None = None,
    observed: tuple[str, ...] = ("y",),
    observed_units: tuple[str, ...] | None = None,
) -> Estimator:
    """dx/dt = A x + b + L w,  y = H x + e: the Kalman filter, exact between any times.

    Args:
        t, y: (N,) times and (N, m) observations.
        A, Qc, L, b: as of `filters.discretise.LinearSDE`.
        H, R: (m, n), and (m, m) or the variances (m,).
        covariance: of the state at the first time, (n, n) or the variances (n,).
        mean: of it, (n,); null is zero.
        states, observed: names; null is x1, x2, ….
        units, observed_units: theirs (UDUNITS); null is 1.

    Reference: C. F. Van Loan, IEEE Transactions on Automatic Control 23 (1978).
    """
    sde = LinearSDE(A, Qc, L, b=b)
    H = np.atleast_2d(H)
    n, m = len(A), len(H)
    if len(observed) != y.shape[1] or m != y.shape[1]:
        raise ValueError(
            f"observed: expected a name, and a row of H, for each of the {y.shape[1]} "
            f"columns, got {len(observed)} and {m}"
        )
    states = states or tuple(f"x{i + 1}" for i in range(n))
    sizes = (("states", states, n), ("units", units, n), ("observed_units", observed_units, m))
    for key, names, size in sizes:
        if names is not None and len(names) != size:
            raise ValueError(f"{key}: expected {size}, got {len(names)}: {', '.join(names)}")
    named = _quantities(states, units)
    shown = {
        states[int(np.argmax(row))]: name
        for row, name in zip(H, observed, strict=True)
        if np.count_nonzero(row) == 1 and row.max() == 1
    }
    at_once = discretise(sde, 0.0)
    model = LinearGaussian(at_once["F"], at_once["Q"], H, R, b=at_once.get("b"))
    P = np.diag(covariance) if np.ndim(covariance) == 1 else np.asarray(covariance)
    return Estimator(
        kalman(model),
        Gaussian(np.zeros(n) if mean is None else np.asarray(mean), P),
        named,
        _quantities(observed, observed_units),
        shown=shown,
        inputs=lambda t, dt: discretise(sde, dt),
    )


def _quantities(names, units):
    units = units or ("1",) * len(names)
    return {
        name: Quantity(unit, name.replace("_", " "))
        for name, unit in zip(names, units, strict=True)
    }


def nonlinear(
    t: Any,
    y: Any,
    model: Any,
    observed: tuple[str, ...],
    Qc: tuple[float, ...],
    R: tuple[float, ...],
    variance: tuple[float, ...],
    substeps: int = 4,
) -> Estimator:
    """dx = f(t, x) dt + dβ,  y = some of the states or outputs + e: extended, at any times.

    Args:
        t, y: (N,) times and (N, m) observations.
        model: a `sim.models.Model`, without input or with its input at rest; its initial
            state is the mean of the state at the first time.
        observed: for each column, the state or the output of the model that it measures.
        Qc: spectral densities of the noise of the states, (n,).
        R: variances of the noise of the observations, (m,).
        variance: of the state at the first time, (n,).
        substeps: Runge-Kutta steps from one observation to the next.

    Reference: A. H. Jazwinski, "Stochastic Processes and Filtering Theory", Academic
    Press 1970, section 8.3.
    """
    from experiments.models import state_sizes

    sizes = state_sizes(model)
    if max(sizes.values()) > 1:
        raise ValueError(f"model: expected states of one component, got {model.name}, of {sizes}")
    model = at_zero_input(model) if model.inputs else model
    kind, start = type(model.initial), np.array([float(value) for value in model.initial])

    def outputs(t, x):
        state = kind(*(x[i] for i in range(len(start))))
        measured = {} if model.output is None else model.output(t, state, None)._asdict()
        return state._asdict() | measured

    known = list(outputs(0.0, start))
    for name in observed:
        if name not in known:
            raise ValueError(f"observed: {model.name} has no {name!r}; {suggest(name, known)}")
    for key, values, size in (
        ("observed", observed, y.shape[1]),
        ("Qc", Qc, len(sizes)),
        ("R", R, y.shape[1]),
        ("variance", variance, len(sizes)),
    ):
        if len(values) != size:
            raise ValueError(f"{key}: expected {size}, got {len(values)}")

    def f(t, x, u):
        return jnp.stack(
            [
                jnp.asarray(v, x.dtype)
                for v in model.field(t, kind(*(x[i] for i in range(len(start)))), u)
            ]
        )

    def h(x, u, t):
        found = outputs(t, x)
        return jnp.stack([jnp.asarray(found[name], x.dtype) for name in observed])

    about = {name: Quantity(*model.quantities[name]) for name in known}
    return Estimator(
        continuous_extended(f, h, np.diag(Qc), np.array(R), rk4, substeps=substeps),
        Gaussian(start, np.diag(variance)),
        {name: about[name] for name in sizes},
        {_observe(name): about[name] for name in observed},
        shown={name: _observe(name) for name in observed if name in sizes},
        inputs=lambda t, dt: {"t": t, "dt": dt},
        name=model.name,
    )


def _observe(name):
    return f"{name}_measured"
