"""Standard errors of parameters from the log-likelihood of a record."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from filters.gaussian import as_float_array


class Uncertainty(NamedTuple):
    """Parameters at the maximum of their likelihood, with their standard errors.

    Attributes:
        value: the parameters, a pytree.
        standard_error: of each, in the same pytree.
        covariance: (p, p) of all of them, in the order of its leaves.
    """

    value: Any
    standard_error: Any
    covariance: Any


def observed_information(loglik: Callable, params: Any):
    """I = −∂²ℓ/∂θ∂θᵀ, the Hessian taken through the whole filter.

    Args:
        loglik: ``loglik(params) -> scalar``, the log-likelihood of a record.
        params: a pytree of floats, at the maximum.

    Returns:
        (p, p), p the number of parameters in all, in the order of the pytree's leaves.

    Raises:
        ValueError: no parameters, or a log-likelihood that is no scalar.

    Reference: B. Efron and D. V. Hinkley, Biometrika 65 (1978) 457-487.

    >>> observed_information(lambda theta: -2.0 * theta["a"] ** 2, {"a": 0.0}).tolist()
    [[4.0]]
    """
    flat, whole = _flat(params)
    shape = jax.eval_shape(loglik, params).shape
    if shape != ():
        raise ValueError(f"loglik: expected a scalar, got shape {shape}")
    hessian = jax.hessian(lambda theta: loglik(whole(theta)))(flat)
    return -0.5 * (hessian + hessian.T)


def uncertainty(loglik: Callable, params: Any, transform: Callable | None = None) -> Uncertainty:
    """θ̂ ± √diag(I⁻¹), or the same of a transform φ = g(θ̂), by the delta method.

        cov θ = I(θ̂)⁻¹,   cov φ = J cov θ Jᵀ,   J = ∂g/∂θ

    Args:
        loglik: ``loglik(params) -> scalar``, the log-likelihood of a record.
        params: a pytree of floats, at its maximum.
        transform: g, from the parameters of ``loglik`` to those wanted, any pytree: where
            a variance was fitted by its logarithm, ``lambda p: jax.tree.map(jnp.exp, p)``.

    Returns:
        An `Uncertainty` of the parameters, or of their transform.

    Raises:
        ValueError: the information is not positive definite: this is not a maximum, or
            the record does not determine some parameter. Under `jit` the errors are NaN.

    Reference: as for `observed_information`; for the delta method G. W. Oehlert, The
    American Statistician 46 (1992) 27-29.

    >>> ys = jnp.array([1.0, 3.0, 2.0, 6.0])
    >>> normal = lambda p: jnp.sum(-0.5 * (ys - p["mean"]) ** 2 / 4.0)
    >>> found = uncertainty(normal, {"mean": 3.0})     # σ / √N = 2 / √4
    >>> found.standard_error["mean"].item()
    1.0
    """
    information = observed_information(loglik, params)
    _check_maximum(information)
    covariance = jnp.linalg.inv(information)
    return delta(transform or (lambda p: p), params, 0.5 * (covariance + covariance.T))


def delta(function: Callable, params: Any, covariance) -> Uncertainty:
    """cov g(θ) ≈ J cov θ Jᵀ: the uncertainty of a function of the parameters.

    Args:
        function: g, from the parameters to any pytree of floats.
        params: θ, a pytree of p floats in all.
        covariance: (p, p), such as `Uncertainty.covariance`.

    Returns:
        An `Uncertainty` of g(θ).

    Reference: as for `uncertainty`.

    >>> delta(jnp.exp, 0.0, jnp.array([[0.04]])).standard_error.item()
    0.2
    """
    flat, whole = _flat(params)
    covariance = jnp.asarray(covariance, flat.dtype)
    if covariance.shape != 2 * flat.shape:
        raise ValueError(
            f"covariance: expected {2 * flat.shape} for {flat.size} parameters, "
            f"got {covariance.shape}"
        )
    value = jax.tree.map(as_float_array, function(params))
    flat_value, back = _flat(value)
    slope = jax.jacfwd(lambda theta: ravel_pytree(function(whole(theta)))[0])(flat)
    covariance = slope @ covariance @ slope.T
    # A negative variance, away from a maximum, becomes NaN.
    return Uncertainty(
        value, back(jnp.sqrt(jnp.diag(covariance)).astype(flat_value.dtype)), covariance
    )


def _flat(params):
    params = jax.tree.map(as_float_array, params)
    if not jax.tree.leaves(params):
        raise ValueError("params: expected at least one parameter, got none")
    return ravel_pytree(params)


def _check_maximum(information):
    try:
        values = np.linalg.eigvalsh(np.asarray(information, float))
    except Exception:  # a tracer: its numbers are not known yet
        return
    if not values.min() > 0:
        raise ValueError(
            "params: expected a maximum of the log-likelihood, got an information with the "
            f"eigenvalue {values.min():.3g}"
        )
