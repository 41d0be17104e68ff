"""The tableau as data: its checks, and the Arenstorf orbit that must close."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from integrators import ButcherTableau, dormand_prince5, explicit_rk
from sim import rollout


@pytest.mark.parametrize(
    "tableau, words",
    [
        (ButcherTableau(a=(), b=(0.5, 0.5), c=(0, 1)), "expected 2 nodes c and rows of a"),
        (ButcherTableau(a=((1,),), b=(0.5, 0.4), c=(0, 1)), "expected b to sum to 1.0, got 0.9"),
        (ButcherTableau(a=((1,),), b=(0.5, 0.5), c=(0, 0.5)), "a.0. to sum to 0.5, got 1.0"),
    ],
)
def test_an_inconsistent_tableau_is_named(tableau, words):
    with pytest.raises(ValueError, match=words):
        explicit_rk(tableau, order=2)


def arenstorf(mu, t, y, u):
    x, v = y
    r1 = jnp.hypot(x[0] + mu, x[1]) ** 3
    r2 = jnp.hypot(x[0] - 1 + mu, x[1]) ** 3
    ax = x[0] + 2 * v[1] - (1 - mu) * (x[0] + mu) / r1 - mu * (x[0] - 1 + mu) / r2
    ay = x[1] - 2 * v[0] - (1 - mu) * x[1] / r1 - mu * x[1] / r2
    return (v, jnp.stack([ax, ay]))


def test_the_arenstorf_orbit_closes(shared):
    reference = json.loads((shared / "references" / "ode.json").read_text())["arenstorf"]
    mu, period, y0 = reference["mu"], reference["period"], jnp.array(reference["y0"])
    steps = 400_000
    stepper = dormand_prince5(lambda t, y, u: arenstorf(mu, t, y, u), period / steps)
    run = jax.jit(lambda y0: rollout(stepper.step, stepper.init(y0), length=steps)[0].y)
    x, v = run((y0[:2], y0[2:]))
    np.testing.assert_allclose(x, y0[:2], atol=1e-7)
    np.testing.assert_allclose(v, y0[2:], atol=2e-5)
