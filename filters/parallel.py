"""The linear filter and every smoother in parallel in time, for accelerators.

On a CPU the steps of `filters.kalman` and `filters.rts` are faster; on thousands of
parallel threads these need O(log N) rounds instead of N.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from filters.covariance import check_definite, symmetric
from filters.gaussian import Estimate, Filtering, Gaussian, check_observation
from filters.kalman import LinearGaussian, affine, at_step, kalman, plus, split, validate_model
from filters.rts import last_of, smoother_gain
from sim.check import scan_length
from sim.linalg import cholesky, solve_lower


class Passage(NamedTuple):
    """A stretch of time, as a map from the state before it to the belief after it.

        p(xₖ | xⱼ, y) = N(A xⱼ + b, C),   p(y | xⱼ) ∝ exp(ηᵀxⱼ − ½ xⱼᵀJ xⱼ)

    for the observations y after j up to k. Two in a row make one, and this
    product is associative, so a parallel scan applies.
    """

    A: Any
    b: Any
    C: Any
    eta: Any
    J: Any


def parallel_kalman(
    model: LinearGaussian, prior: Gaussian, xs: Any, *, on_first: bool = False
) -> Estimate:
    """The estimates of the Kalman filter for a whole record, by a parallel prefix sum over time.

        (A, b, C, η, J)₀ ⊗ … ⊗ (A, b, C, η, J)ₖ  →  (m, P)ₖ = (b, C)

    Then every step of `kalman` runs by itself from its (m, P)ₖ₋₁: the result has the
    sequential filter's own parts, log-likelihood and missing components included.

    Args:
        model, prior, on_first: as for `filters.kalman.kalman` and its ``init``.
        xs: as `rollout` would take them: the observations (N, m), NaN where missing, or
            a mapping with "y" and any input or per-step matrices, leading axis N.

    Returns:
        The stacked `Estimate`, equal to the sequential one to rounding where H Q Hᵀ + R is
        positive definite. Elsewhere an observation may determine the state before it
        exactly, which would need infinite information, and the result is NaN. The work is
        some 10 times that of the steps, so it pays only on an accelerator; the program,
        and the time to compile it, grow with log N (24 s for N = 10⁴ on 2 CPU cores).

    Raises:
        ValueError: as `kalman`; outside `jit`, H Q Hᵀ + R of a constant model is singular.

    Reference: S. Särkkä and Á. F. García-Fernández, "Temporal parallelization of
    Bayesian smoothers", IEEE Transactions on Automatic Control 66 (2021).

    >>> level = LinearGaussian(F=[[1.0]], Q=[1469.1], H=[[1.0]], R=[15099.0])
    >>> ys = jnp.array([[1120.0], [1160.0], [963.0]])
    >>> parallel_kalman(level, Gaussian([1120.0], [[1e7]]), ys).m[:, 0].round(1).tolist()
    [1120.0, 1140.9, 1072.8]
    """
    length = scan_length(xs, None)
    stepper, model = kalman(model), validate_model(model)
    first = stepper.init(prior, on_first)
    changed = xs if isinstance(xs, Mapping) else {}
    if not changed.keys() & {"Q", "H", "R"}:
        check_definite("parallel_kalman", model.Q, model.H, model.R)
    if not length:
        return jax.vmap(lambda x: stepper.step(first, x)[1])(xs)
    passages = jax.vmap(lambda x: _passage(model, x, first.m.dtype))(xs)
    # The first one starts from the prior: it no longer depends on the state before.
    known = stepper.step(first, jax.tree.map(lambda x: x[0], xs))[0]
    zero = jax.tree.map(lambda a: jnp.zeros_like(a[0]), passages)
    start = zero._replace(b=known.m, C=known.P)
    passages = jax.tree.map(lambda a, b: jnp.concatenate([a[None], b[1:]]), start, passages)
    after = jax.lax.associative_scan(jax.vmap(_join), passages)

    def prepend(first, later):
        return jnp.concatenate([first[None], later[:-1]])

    C = jax.vmap(symmetric)(after.C)
    before = Filtering(prepend(first.m, after.b), prepend(first.P, C))
    if on_first:
        before = before._replace(fresh=jnp.arange(len(C)) == 0)
    return jax.vmap(lambda carry, x: stepper.step(carry, x)[1])(before, xs)


def _passage(model, x, dtype) -> Passage:
    """One step: predict from a known state, then condition on its observation."""
    y, x = split(model, x)
    model = at_step(model, x, dtype)
    n = model.F.shape[0]
    zero = jnp.zeros(n, dtype)
    c = affine(model.F, zero, model.B, x.get("u"), model.b)
    mu = affine(model.H, c, model.D, x.get("u"), model.d)
    y = check_observation(y, mu)
    seen = ~jnp.isnan(y)
    Q = plus(jnp.zeros((n, n), dtype), model.Q)
    # A missing component observes nothing, with noise of its own.
    H = jnp.where(seen[:, None], model.H, 0)
    v = jnp.where(seen, y - mu, 0)
    R = plus(jnp.zeros((len(y), len(y)), dtype), model.R)
    R = jnp.where(seen[:, None] & seen[None, :], R, jnp.eye(len(y), dtype=dtype))
    S = H @ Q @ H.T + R
    both = jnp.concatenate([H, v[:, None]], axis=1)
    both = solve_lower(cholesky(S), both) if len(y) else both
    Z, z = both[:, :n], both[:, n]  # ZᵀZ = Hᵀ S⁻¹ H
    ZQ, ZF = Z @ Q, Z @ model.F
    A = model.F - ZQ.T @ ZF
    return Passage(A, c + ZQ.T @ z, Q - ZQ.T @ ZQ, ZF.T @ z, ZF.T @ ZF)


def _join(i: Passage, j: Passage) -> Passage:
    """Passage i, then passage j."""
    n = i.b.shape[0]
    right = jnp.concatenate([i.A, (i.b + i.C @ j.eta)[:, None], i.C @ j.A.T], axis=1)
    solved = jnp.linalg.solve(jnp.eye(n, dtype=i.C.dtype) + i.C @ j.J, right)
    A, b, C = solved[:, :n], solved[:, n], solved[:, n + 1 :]
    return Passage(
        j.A @ A,
        j.A @ b + j.b,
        j.A @ C + j.C,
        A.T @ (j.eta - j.J @ i.b) + i.eta,
        A.T @ j.J @ i.A + i.J,
    )


class Link(NamedTuple):
    """The state before a stretch, from the one after it: xⱼ = E xₖ + g + N(0, L)."""

    E: Any
    g: Any
    L: Any


def parallel_rts(estimates: Estimate) -> Gaussian:
    """The state given the whole record, by a parallel suffix sum over a filter's estimates.

        Eₖ = Cₖ₊₁ (P⁻ₖ₊₁)⁻¹,   gₖ = mₖ − Eₖ m⁻ₖ₊₁,   Lₖ = Pₖ − Eₖ Cₖ₊₁ᵀ
        (E, g, L)ₖ ⊗ … ⊗ (E, g, L)_N  →  (mˢ, Pˢ)ₖ = (g, L)

    Args:
        estimates: the stacked `Estimate` of any Gaussian filter but the diffuse one,
            sequential or not.

    Returns:
        The smoothed `Gaussian`, (N, n) and (N, n, n), equal to that of `filters.rts.rts`
        to rounding; NaN where P⁻ is singular.

    Raises:
        ValueError: the state lies on a manifold (m is not as long as P is wide): its
            corrections do not add up in any order; use `rts`. Estimates of `diffuse_kalman`.

    Reference: S. Särkkä and Á. F. García-Fernández, "Temporal parallelization of
    Bayesian smoothers", IEEE Transactions on Automatic Control 66 (2021).

    >>> walk = LinearGaussian(F=[[1.0]], Q=[1.0], H=[[1.0]], R=[1.0])
    >>> ys = jnp.array([[0.0], [jnp.nan], [3.0]])
    >>> estimates = parallel_kalman(walk, Gaussian([0.0], [[1.0]]), ys)
    >>> parallel_rts(estimates).m[:, 0].round(3).tolist()
    [0.545, 1.364, 2.182]
    """
    last_of("parallel_rts", estimates)
    m, P, m_pred, P_pred, C, *_ = estimates
    if m.shape[-1] != P.shape[-1]:
        raise ValueError(
            f"parallel_rts: expected means (N, {P.shape[-1]}), as wide as P, got "
            f"{m.shape}: for a state on a manifold use rts"
        )
    E = jax.vmap(smoother_gain)(P_pred[1:], C[1:])
    g = m[:-1] - jax.vmap(jnp.matmul)(E, m_pred[1:])
    L = P[:-1] - E @ jnp.swapaxes(C[1:], 1, 2)
    # The last smoothed state is the filtered one.
    links = Link(
        jnp.concatenate([E, jnp.zeros_like(P[-1:])]),
        jnp.concatenate([g, m[-1:]]),
        jnp.concatenate([L, P[-1:]]),
    )
    back = jax.lax.associative_scan(jax.vmap(_chain), links, reverse=True)
    return Gaussian(back.g, jax.vmap(symmetric)(back.L))


def _chain(j: Link, i: Link) -> Link:
    """Link i, then link j; a reversed scan passes the later one first."""
    return Link(i.E @ j.E, i.E @ j.g + i.g, i.E @ j.L @ i.E.T + i.L)
