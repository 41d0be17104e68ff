"""State estimation, float64: filters, smoothers and their gradients beside the field.

All sides get the same model and record. The prior of this project and of cuthbert belongs
to the state one step before the first observation; dynamax, statsmodels, simdkalman and the
numba loop get its prediction, the prior of the first observed state, so all results agree.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.measure import Work, close, compile_run
from filters import Gaussian, LinearGaussian, Nonlinear, extended, kalman, rts, unscented
from filters.series import kalman_series
from filters.square_root import square_root_kalman
from sim import rollout


def case(n, m, steps, series=None, seed=0):
    """A stable model, a prior a step before the record, and the record (…, steps, m)."""
    rng = np.random.default_rng(seed)
    F = 0.95 * np.eye(n) + 0.1 * rng.normal(size=(n, n)) / np.sqrt(n)
    F *= 0.98 / np.abs(np.linalg.eigvals(F)).max()
    H = rng.normal(size=(m, n))
    model = LinearGaussian(F=F, Q=0.1 * np.eye(n), H=H, R=0.5 * np.eye(m))
    shape = (steps, m) if series is None else (series, steps, m)
    return model, Gaussian(np.zeros(n), np.eye(n)), rng.normal(size=shape)


def first_prior(model, prior):
    """The prior of the first observed state."""
    return model.F @ prior.m, model.F @ prior.P @ model.F.T + model.Q


def estimates(model, prior, ys):
    stepper = kalman(model)
    return rollout(stepper.step, stepper.init(prior), ys)[1]


def ours_filter(model, prior, ys):
    """Filtered means and covariances, and the log-likelihood of the record."""
    e = estimates(model, prior, ys)
    return e.m, e.P, e.loglik.sum()


def ours_smoother(model, prior, ys):
    e = estimates(model, prior, ys)
    smoother = rts()
    smoothed = rollout(smoother.step, smoother.init(e), e, reverse=True)[1]
    return smoothed.m, smoothed.P


def _peer(module, function, *args):
    """A side of `benchmarks.peers`, imported when it is made."""

    def side():
        from importlib import import_module

        return getattr(import_module(f"benchmarks.peers.{module}"), function)(*args)

    return side


def filter_(n, m, steps=10**4, numba=False, cuthbert=False):
    model, prior, ys = case(n, m, steps)
    args = model, prior, first_prior(model, prior), ys
    peers = {"dynamax": _peer("dynamax_lgssm", "build_filter", *args)}
    if cuthbert:
        peers["cuthbert"] = _peer("cuthbert_kalman", "build_filter", *args)
    peers["statsmodels"] = _peer("statsmodels_kalman", "build_filter", *args)
    if numba:
        peers["numba"] = _peer("numba_kalman", "build_filter", *args)
    return Work(
        unit="ns/step",
        scale=1e9 / steps,
        ours=lambda: compile_run(ours_filter, model, prior, ys),
        peers=peers,
        compare=close(1e-6),
    )


def loglik_grad(n=4, m=2, steps=10**4):
    """Value and gradient of the log-likelihood in F, Q, H and R."""
    model, prior, ys = case(n, m, steps)

    def loss(parts):
        return estimates(model._replace(**parts), prior, ys).loglik.sum()

    def compare(ours, peer):  # covariances have one gradient, however it is spread
        for _, gradient in (ours, peer):
            gradient |= {name: gradient[name] + gradient[name].T for name in "QR"}
        return close(1e-6)(ours, peer)

    parts = {name: jnp.asarray(model._asdict()[name]) for name in "FQHR"}
    return Work(
        unit="ns/step",
        scale=1e9 / steps,
        ours=lambda: compile_run(jax.value_and_grad(loss), parts),
        peers={"dynamax": _peer("dynamax_lgssm", "loglik_grad", model, prior, ys)},
        compare=compare,
    )


def smoother(n=4, m=2, steps=10**4):
    model, prior, ys = case(n, m, steps)
    args = model, prior, first_prior(model, prior), ys
    return Work(
        unit="ns/step",
        scale=1e9 / steps,
        ours=lambda: compile_run(ours_smoother, model, prior, ys),
        peers={"dynamax": _peer("dynamax_lgssm", "build_smoother", *args)},
        compare=close(1e-6),
    )


def batch(series=256, steps=1000, n=4, m=2):
    """Many records of one model at once, filtered means; ours have the series last."""
    model, prior, ys = case(n, m, steps, series)
    args = model, prior, first_prior(model, prior), ys

    def ours(model, prior, ys):
        stepper = kalman_series(model, series)
        return rollout(stepper.step, stepper.init(prior), ys)[1].m

    def compare(ours, peer):
        return close(1e-6)(jnp.moveaxis(ours, -1, 0), peer)

    return Work(
        unit="ns/step/series",
        scale=1e9 / steps / series,
        ours=lambda: compile_run(ours, model, prior, jnp.moveaxis(ys, 0, -1)),
        peers={
            "dynamax": _peer("dynamax_lgssm", "batch", *args),
            "simdkalman": _peer("simdkalman_batch", "batch", *args),
            "statsmodels": _peer("statsmodels_kalman", "batch", *args),
        },
        compare=compare,
    )


def pendulum(kind, steps=10**4, dt=0.01):
    """The noisy pendulum of Särkkä and Svensson: means, covariances, log-likelihood."""

    def f(x, u, t):
        return jnp.stack([x[0] + dt * x[1], x[1] - 9.81 * dt * jnp.sin(x[0])])

    def h(x, u, t):
        return jnp.sin(x[:1])

    Q = 0.01 * np.array([[dt**3 / 3, dt**2 / 2], [dt**2 / 2, dt]])
    model = Nonlinear(f=f, h=h, Q=Q, R=np.array([[0.1]]))
    make = {"extended": extended, "unscented": unscented}[kind]
    rng = np.random.default_rng(0)
    t = dt * np.arange(steps)
    ys = np.sin(1.5 * np.cos(3 * t))[:, None] + np.sqrt(0.1) * rng.normal(size=(steps, 1))
    first = np.array([1.5, 0.0]), np.diag([0.1, 0.1])

    def ours(ys):
        stepper = make(model)
        prior = Gaussian(*map(jnp.asarray, first))
        e = rollout(stepper.step, stepper.init(prior, on_first=True), ys)[1]
        return e.m, e.P, e.loglik.sum()

    return Work(
        unit="ns/step",
        scale=1e9 / steps,
        ours=lambda: compile_run(ours, jnp.asarray(ys)),
        peers={"dynamax": _peer("dynamax_pendulum", "build_filter", kind, model, first, ys)},
        compare=close(1e-6),
    )


def square_root(n=4, m=2, steps=10**4):
    """The square-root form: means, covariance factors' squares, log-likelihood."""
    model, prior, ys = case(n, m, steps)

    def ours(model, prior, ys):
        stepper = square_root_kalman(model)
        e = rollout(stepper.step, stepper.init(prior), ys)[1]
        return e.m, e.P, e.loglik.sum()

    args = model, prior, first_prior(model, prior), ys
    return Work(
        unit="ns/step",
        scale=1e9 / steps,
        ours=lambda: compile_run(ours, model, prior, jnp.asarray(ys)),
        peers={"cuthbert": _peer("cuthbert_kalman", "build_filter", *args)},
        compare=close(1e-6),
    )


ROWS = {
    "kalman.filter_n4m2": partial(filter_, 4, 2, numba=True, cuthbert=True),
    "kalman.loglik_grad_n4m2": loglik_grad,
    "kalman.filter_n8m2": partial(filter_, 8, 2),
    "kalman.filter_n12m4": partial(filter_, 12, 4),
    "kalman.filter_n16m4": partial(filter_, 16, 4),
    "kalman.filter_n32m8": partial(filter_, 32, 8),
    "kalman.smoother_n4m2": smoother,
    "kalman.ekf_pendulum": partial(pendulum, "extended"),
    "kalman.ukf_pendulum": partial(pendulum, "unscented"),
    "kalman.batch_256": batch,
    "kalman.sqrt_n4m2": square_root,
}
