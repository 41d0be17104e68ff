"""Nonlinear models with Gaussian noise, as every nonlinear filter here takes them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from inspect import signature
from typing import Any

import jax.numpy as jnp
from jax.tree_util import Partial, register_dataclass

from filters.gaussian import (
    as_float_array,
    check_semidefinite,
    condition,
    gaussian_filter,
    update_where_seen,
)
from filters.kalman import split_observation
from sim import Stepper, check
from sim.step import as_pytree


@register_dataclass
@dataclass(frozen=True)
class Nonlinear:
    """A nonlinear model with Gaussian noise.

        xₖ = f(xₖ₋₁, uₖ, tₖ) + wₖ,   wₖ ~ N(0, Q)
        yₖ = h(xₖ, uₖ, tₖ) + eₖ,     eₖ ~ N(0, R)

    A step's input is the observation y (m,), NaN where missing; or a mapping with "y"
    and any of "u" (a pytree, the input that acted during the step, its length if that
    varies), "t" (the time), "Q" and "R", with their value for this step. f and h get
    None for a u or t that is not given.

    Attributes:
        f: ``f(x, u, t) -> x``, the state (n,) a step later.
        h: ``h(x, u, t) -> y``, the observation (m,) of a state. A missing
            component may have any value, but needs a finite derivative for a gradient.
        Q: (n, n) covariance of w, or (n,) its diagonal.
        R: (m, m) covariance of e, or (m,) its diagonal.
        residual: ``residual(y, mu) -> (m,)``, y less mu, for observations that are not
            subtracted, such as angles; None is y − μ. It is never given a NaN.
        retract: ``retract(x, dx) -> x``, the state that lies dx (d,) away from x, for a
            state on a manifold: P and Q are then (d, d), n may be larger. None is x + dx.
        local: its inverse, ``local(x, origin) -> dx``.
        noise_in: those of "f" and "h" that take their noise as a fourth argument,
            ``f(x, u, t, w)`` and ``h(x, u, t, e)``, instead of adding it; Q or R gives
            its size.

    A lambda or a closure is traced again in every `jit` that takes the model as an
    argument; a module-level function bound with `jax.tree_util.Partial` is not, and its
    parameters can be differentiated.

    Reference: S. Särkkä and L. Svensson, "Bayesian Filtering and Smoothing", 2nd ed.,
    Cambridge 2023, chapter 7; C. Hertzberg et al., Information Fusion 14 (2013), for
    retract and local, there ⊞ and ⊟.

    >>> Nonlinear(f=lambda x, u, t: x, h=lambda x, u, t: x**2, Q=[1.0], R=[1.0]).noise_in
    ()
    """

    f: Callable
    h: Callable
    Q: Any
    R: Any
    residual: Callable | None = None
    retract: Callable | None = None
    local: Callable | None = None
    noise_in: tuple[str, ...] = field(default=(), metadata={"static": True})


def nonlinear_filter(model: Nonlinear, predict: Callable, observe: Callable) -> Stepper:
    """A filter of a validated model, from its predictions of state and observation.

    Args:
        model: from `validate_model`.
        predict, observe: as in `filters.gaussian.gaussian_filter`; they see the mapping
            that is the step's input, with "y" in it.
    """
    return gaussian_filter(
        predict,
        observe,
        Partial(_split),
        residual=model.residual,
        retract=model.retract,
        update=Partial(update_where_seen, Partial(condition)),
    )


def _split(x):
    y, rest = split_observation(x, ("y", "u", "t", "Q", "R"))
    return y, rest | {"y": y}


def validate_model(model: Nonlinear) -> Nonlinear:
    """The model with functions that are pytrees and covariances that are arrays.

    Raises:
        ValueError: a field is not what `Nonlinear` says.
    """
    if not isinstance(model, Nonlinear):
        raise ValueError(f"model: expected a Nonlinear, got {type(model).__name__}")
    noise_in = model.noise_in
    if not isinstance(noise_in, tuple | list | set) or set(noise_in) - {"f", "h"}:
        raise ValueError(f'noise_in: expected a tuple of "f", "h", got {noise_in!r}')
    arguments = {
        "f": ("x", "u", "t", "w") if "f" in noise_in else ("x", "u", "t"),
        "h": ("x", "u", "t", "e") if "h" in noise_in else ("x", "u", "t"),
        "residual": ("y", "mu"),
        "retract": ("x", "dx"),
        "local": ("x", "origin"),
    }
    functions = {
        "f": model.f,
        "h": model.h,
        "residual": model.residual,
        "retract": model.retract,
        "local": model.local,
    }
    for name, function in functions.items():
        if function is not None or name in ("f", "h"):
            check.function(name, function)
            _check_signature(name, function, arguments[name])
    if (model.retract is None) != (model.local is None):
        missing = "local" if model.local is None else "retract"
        raise ValueError(f"{missing}: expected a function, as retract and local go together")
    noises = {"Q": as_float_array(model.Q), "R": as_float_array(model.R)}
    for name, noise in noises.items():
        _check_covariance(name, noise)
        check_semidefinite(name, noise)
    functions = {name: g if g is None else as_pytree(g) for name, g in functions.items()}
    return Nonlinear(**functions, **noises, noise_in=tuple(sorted(set(noise_in))))


def _check_signature(name, function, arguments):
    try:
        bind = signature(function).bind
    except (TypeError, ValueError):  # a builtin without a signature
        return
    try:
        bind(*arguments)
    except TypeError:
        wanted = f"{name}({', '.join(arguments)})"
        raise ValueError(f"{name}: expected {wanted}, got {name}{signature(function)}") from None


def _check_covariance(name, noise):
    if noise.ndim not in (1, 2) or noise.shape[0] != noise.shape[-1]:
        raise ValueError(f"{name}: expected a covariance (n, n) or (n,), got shape {noise.shape}")


def transition(model, like, x):
    """f of a step as a function of the state and its noise, if it takes one, and Q."""
    Q = _noise("Q", x.get("Q", model.Q), like.P.dtype)
    n = like.P.shape[0]
    if "f" not in model.noise_in and Q.shape[0] != n:
        raise ValueError(f"Q: expected {(n, n)} or {(n,)}, as the prior has, got {Q.shape}")
    return partial(_call, "f", model.f, x, like.m.dtype, like.m.shape, "the prior"), Q


def observation(model, like, x):
    """h of a step as a function of the state and its noise, if it takes one, and R."""
    R = _noise("R", x.get("R", model.R), like.P.dtype)
    if "h" in model.noise_in:
        shape, whose = jnp.shape(x["y"]), "y"
    else:
        shape, whose = R.shape[:1], "R"
    return partial(_call, "h", model.h, x, like.m.dtype, shape, whose), R


def _noise(name, covariance, dtype):
    noise = as_float_array(covariance).astype(dtype)
    _check_covariance(name, noise)
    return noise


def _call(name, function, x, dtype, shape, whose, state, *noise):
    value = function(state, x.get("u"), x.get("t"), *noise)
    return _check_shape(name, value, dtype, shape, whose)


def _check_shape(name, value, dtype, shape, whose):
    try:
        array = jnp.asarray(value)
    except (TypeError, ValueError):
        got = type(value).__name__
        raise ValueError(f"{name}: expected an array {shape}, got {got}") from None
    if array.shape != shape:
        raise ValueError(f"{name}: expected shape {shape}, as {whose} has, got {array.shape}")
    return array.astype(dtype)


def displace(model, x, dx):
    """The state that lies dx away from x."""
    if model.retract is None:
        return x + dx
    return _check_shape("retract", model.retract(x, dx), x.dtype, x.shape, "the state")


def displacement(model, like, x, origin):
    """The dx that leads from origin to x."""
    if model.local is None:
        return x - origin
    shape = like.P.shape[:1]
    return _check_shape("local", model.local(x, origin), x.dtype, shape, "the prior's covariance")
