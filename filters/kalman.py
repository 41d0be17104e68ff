"""The Kalman filter in covariance form."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.tree_util import Partial

from filters.gaussian import (
    Expected,
    Gaussian,
    Predicted,
    as_float_array,
    check_semidefinite,
    gaussian_filter,
    symmetric,
)
from sim import Stepper
from sim.linalg import matmul


class LinearGaussian(NamedTuple):
    """A linear model with Gaussian noise.

        xₖ = F xₖ₋₁ + B uₖ + b + wₖ,   wₖ ~ N(0, Q)
        yₖ = H xₖ + D uₖ + d + eₖ,     eₖ ~ N(0, R)

    Attributes:
        F: (n, n) transition.
        Q: (n, n) its noise covariance, or (n,) its diagonal.
        H: (m, n) observation.
        R: (m, m) its noise covariance, or (m,) its diagonal.
        B, D: (n, p) and (m, p), gains of the input; None is no input.
        b, d: (n,) and (m,) offsets; None is none.
    """

    F: Any
    Q: Any
    H: Any
    R: Any
    B: Any = None
    D: Any = None
    b: Any = None
    d: Any = None


def kalman(model: LinearGaussian) -> Stepper:
    """The Kalman filter: the exact posterior of a linear Gaussian model.

        m⁻ = F m + B u + b,   P⁻ = F P Fᵀ + Q
        condition (m⁻, P⁻) on y = H x + D u + d + e, see `filters.gaussian.condition`

    Args:
        model: the matrices; those that change with time come with the input instead.

    Returns:
        A stepper. ``init(prior, on_first=False)``: a `Gaussian` prior of the state one
        step before the first observation, or of the first observed state. The input x
        of its step is the observation y (m,), NaN where missing; or a mapping with "y"
        and any of "u" (p,), the input that acted during the step, and the model's own
        names ("F", "Q", "H", "R", "B", "D", "b", "d") with their value for this step.
        It emits an `Estimate`.

    Raises:
        ValueError: shapes disagree, or Q, R or the prior is no covariance.

    Reference: S. Särkkä and L. Svensson, "Bayesian Filtering and Smoothing", 2nd ed.,
    Cambridge 2023, section 6.3.

    >>> from sim import rollout
    >>> level = LinearGaussian(F=[[1.0]], Q=[1469.1], H=[[1.0]], R=[15099.0])
    >>> nile = kalman(level)
    >>> carry = nile.init(Gaussian([1120.0], [[1e7]]))
    >>> _, estimates = rollout(nile.step, carry, jnp.array([[1120.0], [1160.0], [963.0]]))
    >>> estimates.m[:, 0].round(1).tolist()
    [1120.0, 1140.9, 1072.8]
    """
    model = validate_model(model)
    return gaussian_filter(
        Partial(_predict, model),
        Partial(_observe, model),
        Partial(split, model),
        states=model.F.shape[0],
    )


def _predict(model, belief: Gaussian, x) -> Predicted:
    model = at_step(model, x, belief.m.dtype)
    m = affine(model.F, belief.m, model.B, x.get("u"), model.b)
    FP = matmul(model.F, belief.P)
    return Predicted(m, plus(symmetric(matmul(FP, model.F.T)), model.Q), FP.T)


def _observe(model, belief: Gaussian, x) -> Expected:
    model = at_step(model, x, belief.m.dtype)
    mu = affine(model.H, belief.m, model.D, x.get("u"), model.d)
    C = matmul(belief.P, model.H.T)
    return Expected(mu, plus(symmetric(matmul(model.H, C)), model.R), C)


def affine(F, m, B, u, b):
    """F m + B u + b, without the terms that are None."""
    m = F @ m
    if B is not None:
        u = jnp.asarray(u, m.dtype)
        if u.shape != B.shape[1:]:
            raise ValueError(f"u: expected shape {B.shape[1:]}, got {u.shape}")
        m = m + B @ u
    return m if b is None else m + b


def plus(P, Q):
    """P + Q, for Q a matrix or its diagonal; a matrix gets a symmetric gradient."""
    return P + (jnp.diag(Q) if Q.ndim == 1 else symmetric(Q))


def split(model, x):
    """The observation and the rest of the input; ValueError unless its names are known."""
    y, rest = split_observation(x, ("y", "u", *model._fields))
    driven = model.B is not None or model.D is not None or {"B", "D"} & set(rest)
    if "u" in rest and not driven:
        raise ValueError("u: expected a model with B or D, got an input without either")
    if "u" not in rest and driven:
        raise ValueError("u: expected an input, as the model has B or D, got none")
    return y, rest


def split_observation(x, known):
    """The observation, and a mapping of the other inputs; ValueError for an unknown name."""
    if not isinstance(x, Mapping):
        return x, {}
    for name in x:
        if name not in known:
            near = get_close_matches(name, known, 1, 0)
            raise ValueError(f"xs: expected names among {known}, got {name!r}; meant {near[0]!r}?")
    if "y" not in x:
        raise ValueError(f"xs: expected an observation under 'y', got {tuple(x)}")
    return x["y"], {name: value for name, value in x.items() if name != "y"}


def at_step(model, x, dtype):
    """The model with this step's own matrices, in the dtype of the belief."""
    changed = {name: as_float_array(value) for name, value in x.items() if name != "u"}
    model = model._replace(**changed)
    if changed:
        check_shapes(model)
    return jax.tree.map(lambda a: a.astype(dtype), model)


def validate_model(model: LinearGaussian) -> LinearGaussian:
    """The model as arrays, its shapes and covariances checked."""
    model = LinearGaussian(*(a if a is None else as_float_array(a) for a in model))
    check_shapes(model)
    check_semidefinite("Q", model.Q)
    check_semidefinite("R", model.R)
    return model


def check_shapes(model):
    """Raise ValueError unless every matrix fits F (n, n) and H (m, n)."""
    for name, matrix in (("F", model.F), ("H", model.H)):
        if matrix.ndim != 2:
            raise ValueError(f"{name}: expected a matrix, got shape {matrix.shape}")
    n, m = model.F.shape[-1], model.H.shape[0]
    p = next((a.shape[-1] for a in (model.B, model.D) if a is not None), 0)
    fits = {
        "F": [(n, n)],
        "Q": [(n, n), (n,)],
        "H": [(m, n)],
        "R": [(m, m), (m,)],
        "B": [(n, p)],
        "D": [(m, p)],
        "b": [(n,)],
        "d": [(m,)],
    }
    for name, shapes in fits.items():
        value = model._asdict()[name]
        if value is not None and value.shape not in shapes:
            raise ValueError(f"{name}: expected {' or '.join(map(str, shapes))}, got {value.shape}")
