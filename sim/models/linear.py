"""A linear system in state space, of any size."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax.tree_util import Partial

from sim.models.arguments import as_float_array, as_named_tuple
from sim.models.model import Model, Quantity


class Params(NamedTuple):
    """The matrices A (n, n), B (n, m), C (p, n) and D (p, m).

    The default A is a damped oscillator. B is None where nothing drives the system, C
    where the state itself is measured, and D where no input reaches the output directly.
    """

    A: Any = ((0.0, 1.0), (-1.0, -0.2))
    B: Any = None
    C: Any = None
    D: Any = None


class State(NamedTuple):
    """The state x, of shape (n,)."""

    x: Any


class Output(NamedTuple):
    """The measured y, of shape (p,)."""

    y: Any


def linear(params: Params, t, y: State, u=None) -> State:
    """ẋ = A x + B u

    Args:
        params: the matrices.
        t: time, unused.
        y: x, of shape (n,).
        u: a scalar where B has one column, else of shape (m,); None is no input.

    Returns:
        The derivative of the state.

    Reference: T. Kailath, "Linear Systems", Prentice-Hall 1980, chapter 2.

    >>> import jax.numpy as jnp
    >>> B = jnp.array([[0.0], [2.0]])
    >>> linear(Params(B=B), 0.0, State(jnp.array([1.0, 0.0])), 3.0).x.tolist()
    [0.0, 5.0]
    """
    return State(_combine(params.A, y.x, params.B, u))


def output(params: Params, t, y: State, u=None) -> Output:
    """y = C x + D u

    >>> import jax.numpy as jnp
    >>> C = jnp.array([[1.0, 1.0]])
    >>> output(Params(C=C), 0.0, State(jnp.array([1.0, 2.0]))).y.tolist()
    [3.0]
    """
    return Output(_combine(params.C, y.x, params.D, u))


def _combine(M, x, N, u):
    # Matrices given in float64 must not promote a float32 state.
    product = jnp.asarray(M, x.dtype) @ x
    if N is None or u is None:
        return product
    N = jnp.asarray(N, x.dtype)
    u = jnp.asarray(u, x.dtype)
    if u.size != N.shape[1]:
        raise ValueError(f"u: expected {N.shape[1]} inputs, one for each column, got {u.size}")
    return product + N @ jnp.reshape(u, N.shape[1:])


def model(A=Params().A, B=None, C=None, D=None, initial=None) -> Model:
    """A linear system as a model, from its matrices as arrays or nested lists.

    Args:
        A: (n, n).
        B: (n, m), or None for a system without input. The inputs are named u for m = 1
            (a scalar) and u1, u2, … for more.
        C: (p, n), or None where the state is what is measured.
        D: (p, m), or None for zero; needs B and C.
        initial: x₀ as a `State` or an array of shape (n,); by default all ones.

    Raises:
        ValueError: a matrix is not one, or its shape does not fit the others.

    >>> integrators = model(A=[[0, 1], [0, 0]], B=[[0], [1]], C=[[1, 0]])
    >>> integrators.inputs, integrators.initial.x.tolist()
    (('u',), [1.0, 1.0])
    """
    A, B, C, D = (_matrix(name, M) for name, M in zip("ABCD", (A, B, C, D), strict=True))
    if A is None:
        raise ValueError("A: expected a square matrix, got None")
    if D is not None and (B is None or C is None):
        raise ValueError(f"D: expected None, as {'B' if B is None else 'C'} is None; got {D}")
    n, m, p = len(A), 0 if B is None else B.shape[1], 0 if C is None else len(C)
    for name, M, shape in (("A", A, (n, n)), ("B", B, (n, m)), ("C", C, (p, n)), ("D", D, (p, m))):
        if M is not None and M.shape != shape:
            raise ValueError(f"{name}: expected shape {shape}, got {M.shape}")
    if initial is None:
        initial = [1.0] * n
    if not isinstance(initial, State):
        initial = State(initial)
    inputs = ("u",) if m == 1 else tuple(f"u{i + 1}" for i in range(m))
    quantities = {"x": Quantity("1", "state"), "y": Quantity("1", "output")}
    if C is None:
        del quantities["y"]
    params = Params(A, B, C, D)
    return Model(
        name="linear",
        field=Partial(linear, params),
        initial=as_named_tuple("initial", initial, State, x=((n,),)),
        quantities=quantities | {name: Quantity("1", f"input {name}") for name in inputs},
        inputs=inputs,
        output=None if C is None else Partial(output, params),
    )


def _matrix(name, M):
    if M is None:
        return None
    array = as_float_array(name, M, "a matrix")
    if array.ndim != 2:
        raise ValueError(f"{name}: expected a matrix, got shape {array.shape}")
    return array
