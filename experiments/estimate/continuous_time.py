"""Estimators of states in continuous time, observed at any times: of linear and other models."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from experiments.cli.messages import suggest
from experiments.estimate.estimators import Estimator
from experiments.models import at_zero_input, state_sizes
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
    """Kalman filter of dx/dt = A x + b + L w, y = H x + e, discretised exactly between times.

    Args:
        t, y: (N,) times and (N, m) observations.
        A, Qc, L, b: arguments of `filters.discretise.LinearSDE`.
        H: (m, n), the observation matrix.
        R: (m, m), the covariance of e, or its variances (m,).
        covariance: (n, n), of the state at the first time, or its variances (n,).
        mean: (n,), of the state at the first time; null is zero.
        states, observed: names of the states (null is x1, x2, …) and of the columns of y.
        units, observed_units: units of both (UDUNITS); null is 1.

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
    shown = {
        states[int(np.argmax(row))]: name
        for row, name in zip(H, observed, strict=True)
        if np.count_nonzero(row) == 1 and row.max() == 1
    }
    still = discretise(sde, 0.0)
    model = LinearGaussian(still["F"], still["Q"], H, R, b=still.get("b"))
    P = np.diag(covariance) if np.ndim(covariance) == 1 else np.asarray(covariance)
    return Estimator(
        kalman(model),
        Gaussian(np.zeros(n) if mean is None else np.asarray(mean), P),
        _quantities(states, units),
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
    """Extended Kalman filter of dx = f(t, x) dt + dβ, y = states or outputs + e, at any times.

    Args:
        t, y: (N,) times and (N, m) observations.
        model: a `sim.models.Model`; an input is held at zero, and the initial state is the
            mean of the state at the first time.
        observed: for each column, the state or the output of the model that it measures.
        Qc: (n,), spectral densities of the noise of the states.
        R: (m,), variances of the noise of the observations.
        variance: (n,), variances of the state at the first time.
        substeps: Runge-Kutta steps from one observation to the next.

    Reference: A. H. Jazwinski, "Stochastic Processes and Filtering Theory", Academic
    Press 1970, section 8.3.
    """
    sizes = state_sizes(model)
    if max(sizes.values()) > 1:
        raise ValueError(f"model: expected states of one component, got {model.name}, of {sizes}")
    model = at_zero_input(model) if model.inputs else model
    State, start = type(model.initial), np.array([float(value) for value in model.initial])

    def outputs(t, x):
        state = State(*(x[i] for i in range(len(start))))
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
                for v in model.field(t, State(*(x[i] for i in range(len(start)))), u)
            ]
        )

    def h(x, u, t):
        values = outputs(t, x)
        return jnp.stack([jnp.asarray(values[name], x.dtype) for name in observed])

    quantities = {name: Quantity(*model.quantities[name]) for name in known}
    return Estimator(
        continuous_extended(f, h, np.diag(Qc), np.array(R), rk4, substeps=substeps),
        Gaussian(start, np.diag(variance)),
        {name: quantities[name] for name in sizes},
        {_measured_name(name): quantities[name] for name in observed},
        shown={name: _measured_name(name) for name in observed if name in sizes},
        inputs=lambda t, dt: {"t": t, "dt": dt},
        name=model.name,
    )


def _measured_name(name):
    return f"{name}_measured"
