"""A nonlinear state-space model: a linear system plus a network."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from scipy.linalg import solve_discrete_lyapunov

from sim import Stepper
from sim.rnn import cell
from sim.rnn.mlp import mlp, mlp_params


class Params(NamedTuple):
    """Parameters of `state_space`, with n states, m inputs and p outputs.

    Attributes:
        A, B, C, D: the linear part, (n, n), (n, m), (p, n), (p, m).
        b, c: constant offsets of state and output, (n,), (p,).
        net: of `mlp_params`, from n + m inputs to n + p outputs.
    """

    A: Any
    B: Any
    C: Any
    D: Any
    b: Any
    c: Any
    net: Any


def params(
    key: jax.Array,
    inputs: int,
    outputs: int,
    states: int,
    hidden: Sequence[int] = (8,),
    *,
    dtype: Any = None,
) -> Params:
    """Random initial parameters: slowly decaying states, and a network whose output is zero.

    `from_linear` is a better start where there is a record.

    >>> params(jax.random.key(0), 1, 1, 2).A.shape
    (2, 2)
    """
    cell.check_key(key)
    A_key, B_key, C_key, net_key = jax.random.split(key, 4)
    sizes = (states + inputs, *hidden, states + outputs)
    net = mlp_params(net_key, sizes, dtype=dtype, gain=0.0)
    dtype = net[0][0].dtype
    A = 0.9 * cell.orthogonal(A_key, states, dtype)
    B = jax.random.normal(B_key, (states, inputs), dtype)
    C = jax.random.normal(C_key, (outputs, states), dtype) * states**-0.5
    zero = jnp.zeros(states + outputs, dtype)
    return Params(A, B, C, jnp.zeros((outputs, inputs), dtype), zero[:states], zero[states:], net)


def from_linear(key: jax.Array, linear: Any, hidden: Sequence[int] = (8,), *, u: Any) -> Params:
    """Initial parameters from a linear model, such as one of `sim.fit.n4sid`.

    The states are transformed to covariance I while the input is u, so that the network
    gets numbers near 1. The output of the network is zero at first.

    Args:
        key: of `jax.random`.
        linear: with the attributes A, B, C, D of a stable discrete system.
        hidden: widths of the hidden layers.
        u: the record of the input, (N, m), in the units of the model.

    Raises:
        ValueError: the linear system is not stable, or u has another width.

    Reference: J. Paduart et al., Automatica 46 (2010) 647-656, starts so.

    >>> from sim.fit import n4sid
    >>> u = np.random.default_rng(0).normal(size=(500, 1))
    >>> y = 0.5 * np.roll(u, 1) + 0.25 * np.roll(u, 2)
    >>> p = from_linear(jax.random.key(0), n4sid(u, y, 2, stable=True), (6,), u=u)
    >>> p.A.shape, float(jnp.max(jnp.abs(p.net[-1][0])))
    ((2, 2), 0.0)
    """
    A, B, C, D = (np.asarray(M, float) for M in (linear.A, linear.B, linear.C, linear.D))
    u = np.asarray(u, float).reshape(len(u), -1)
    if u.shape[1] != B.shape[1]:
        raise ValueError(f"u: expected {B.shape[1]} inputs, as linear.B has, got {u.shape[1]}")
    radius = np.max(np.abs(np.linalg.eigvals(A)))
    if radius >= 1:
        raise ValueError(f"linear.A: expected a stable system, got a pole of modulus {radius:.6g}")
    T = np.linalg.cholesky(_covariance(A, B, u))
    A, B, C = np.linalg.solve(T, A @ T), np.linalg.solve(T, B), C @ T
    dtype = jnp.result_type(float)
    n, (p, m) = len(A), D.shape
    net = mlp_params(key, (n + m, *hidden, n + p), gain=0.0)
    linear = (jnp.asarray(M, dtype) for M in (A, B, C, D, np.zeros(n), np.zeros(p)))
    return Params(*linear, net)


def _covariance(A, B, u):
    """Covariance of the states while the input is u."""
    u = u[:20_000]  # enough for a covariance
    x, states = np.zeros(len(A)), np.zeros((len(u), len(A)))
    for k, now in enumerate(u):
        states[k] = x
        x = A @ x + B @ now
    P = states.T @ states / len(u)
    # A direction that u hardly excites gets its scale from a little noise on all states.
    return P + 1e-6 * solve_discrete_lyapunov(A, B @ B.T + np.eye(len(A)) * np.trace(P) * 1e-6)


def state_space(params: Params) -> Stepper:
    """Nonlinear state-space model:

        (f, g) = MLP(s, u)
        y  = C s + D u + c + g
        s ← A s + B u + b + f

    Args:
        params: `Params`; u (..., m), the carry s (..., n), y (..., p).

    Returns:
        A `Stepper`; ``init()`` is zero, ``init(s)`` is s.

    Raises:
        ValueError: parameters of another network; widths or batch axes that disagree.

    Reference: J. Paduart et al., "Identification of nonlinear systems using polynomial
    nonlinear state space models", Automatica 46 (2010) 647-656, with an MLP instead of
    polynomials.

    >>> from sim import rollout
    >>> stepper = state_space(params(jax.random.key(0), 1, 2, states=3))
    >>> rollout(stepper.step, stepper.init(), jnp.ones((10, 1)))[1].shape
    (10, 2)
    """
    cell.check_type(params, Params)
    return Stepper(Partial(_init, params), Partial(_step, params))


def _like(params):
    """Shape and dtype of the state; ValueError unless all parameters fit its size."""
    *linear, net = params
    n, m, p = np.shape(params.A)[:1], np.shape(params.B)[1:], np.shape(params.C)[:1]
    shapes = (n + n, n + m, p + n, p + m, n, p)
    for name, leaf, shape in zip(params._fields, linear, shapes, strict=False):
        if np.shape(leaf) != shape:
            raise ValueError(f"params.{name}: expected shape {shape}, got {np.shape(leaf)}")
    ends = np.shape(net[0][0])[0], np.shape(net[-1][0])[1]
    if ends != (n[0] + m[0], n[0] + p[0]):
        raise ValueError(
            f"params.net: expected {n[0] + m[0]} inputs and {n[0] + p[0]} outputs, "
            f"got {ends[0]} and {ends[1]}"
        )
    return jax.ShapeDtypeStruct(n, params.A.dtype)


def _init(params, carry=None):
    return cell.start(_like(params), carry)


def _step(params, s, u):
    A, B, C, D, b, c, net = params
    s, u = cell.check_input(B.shape[1], _like(params), s, u)
    both = mlp(net, jnp.concatenate([s, u], axis=-1))
    n = A.shape[0]
    y = cell.affine(s, C.T, c) + u @ D.T + both[..., n:]
    s = cell.affine(s, A.T, b) + u @ B.T + both[..., :n]
    return s, y
