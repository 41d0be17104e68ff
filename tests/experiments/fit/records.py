"""Records of the Duffing oscillator, and the options with which they are fitted."""

import os
import signal
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from integrators import rk4
from sim import rollout
from sim.inputs import zero_order_hold
from sim.models import duffing

DT, TRUE = 0.1, duffing.Params(1.5, 0.4, 2.0, 0.7)
FIT = ("task=fit", "output.figure=null", "fit.bands=false")
PLAIN = (
    *FIT,
    "model=duffing",
    "data.path=r.csv",
    "model.params.mass=1",
    "model.params.stiffness=1",
)


def force(count, seed):
    rng = np.random.default_rng(seed)
    return np.repeat(rng.normal(size=count // 4 + 1), 4)[:count]


@jax.jit
def simulate(u):
    stepper = rk4(duffing.model(TRUE).field, DT)
    start = duffing.State(jnp.asarray(0.5), jnp.asarray(0.0))
    held = zero_order_hold(DT * np.arange(u.shape[0]), u)
    return rollout(stepper.step, stepper.init(start), held)[1]


def duffing_record(count=240, seed=0, noise=0.01):
    """Columns of a noisy record of the Duffing oscillator."""
    u = force(240, seed)
    ys = simulate(jnp.asarray(u))
    rng = np.random.default_rng(seed + 100)
    found = {"time": DT * np.arange(240), "u": u}
    for name, first, values in (("y", 0.5, ys.position), ("v", 0.0, ys.velocity)):
        found[name] = np.r_[first, np.asarray(values)] + noise * rng.normal(size=240)
    return {name: column[:count] for name, column in found.items()}


def write_record(path="r.csv", columns=None, **more):
    columns = {**(columns or duffing_record()), **more}
    rows = [
        ",".join("" if np.isnan(x) else repr(float(x)) for x in row)
        for row in zip(*columns.values(), strict=True)
    ]
    Path(path).write_text("\n".join([",".join(columns), *rows]))


def check_near(found, errors=4.0):
    """Each parameter within some standard errors of the truth, and these are small."""
    value = dict(zip(found.names, zip(found.value, found.standard_error, strict=True), strict=True))
    for name, true in TRUE._asdict().items():
        assert abs(value[name][0] - true) < errors * value[name][1], (name, value[name])
        assert value[name][1] < 0.05
    return value


class Signal:
    """A signal that comes when something has been called n times."""

    def __init__(self, monkeypatch, where, name, n):
        inner, self.left = getattr(where, name), n

        def counted(*args, **kwargs):
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGTERM)
            return inner(*args, **kwargs)

        monkeypatch.setattr(where, name, counted)
