"""Identification: the gradient of a simulation error, whole fits, and the published benchmarks."""

import json
import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from benchmarks.measure import Timed, Work, close, compile_run
from integrators import rk4
from sim import rollout
from sim.fit import Simulation, fit, multistart, sampled
from sim.inputs import Piece, band_limited
from sim.models.duffing import Params, State, duffing

SAMPLES = 65062
DT = 2.0**-5
TRUE = Params(1.0, 0.2, 1.0, 0.5)
START = Params(1.3, 0.4, 0.7, 0.3)
RECORDS = Path(os.environ.get("SCANSIM_RECORDS", "../shared/data"))


def model(p):
    return rk4(Partial(duffing, p), DT)


def position(p, y, u):
    return y.position[None]


OBJECTIVE = Simulation(model, position)
AT_REST = State(jnp.zeros(()), jnp.zeros(()))


def record(samples):
    """A Duffing oscillator with one well, driven by band-limited noise and measured with noise."""
    rng = np.random.default_rng(0)
    spectrum = np.fft.rfft(rng.normal(size=samples))
    spectrum[int(0.04 * len(spectrum)) :] = 0
    u = np.fft.irfft(spectrum, samples)
    u /= u.std()
    t = DT * np.arange(samples)
    rest = jax.tree.map(lambda leaf: leaf.astype(float), AT_REST)
    pieces = band_limited(t, jnp.asarray(u))
    y = simulate_outputs(jax.tree.map(jnp.asarray, TRUE), rest, pieces)
    y = np.append(0.0, np.asarray(y)) + 0.01 * rng.normal(size=samples)
    return t, u, y


@jax.jit
def simulate_outputs(p, rest, pieces: Piece):
    stepper = model(p)
    return rollout(stepper.step, stepper.init(rest), pieces)[1].position


def simulation_grad():
    """Value and gradient in four parameters of an error over as many samples as Silverbox has."""
    t, u, y = record(SAMPLES)
    pieces, y = band_limited(t, jnp.asarray(u)), jnp.asarray(y[1:])
    rest = State(jnp.asarray(0.0), jnp.asarray(0.0))
    start = jax.tree.map(jnp.asarray, START)

    def ours():
        def loss(p):
            return 0.5 * jnp.mean((y - simulate_outputs(p, rest, pieces)) ** 2)

        return compile_run(jax.value_and_grad(loss), start)

    def diffrax():
        from benchmarks.peers.diffrax_rk4 import solve

        first, middle, last = pieces.values
        halves = jnp.append(jnp.stack([first, middle], 1).ravel(), last[-1])

        def loss(p):
            ys = solve(Partial(duffing, p), rest, DT, SAMPLES - 1, halves=halves)
            return 0.5 * jnp.mean((y - ys.position) ** 2)

        return compile_run(jax.value_and_grad(loss), start)

    return Work(
        unit="ns/step",
        scale=1e9 / (SAMPLES - 1),
        ours=ours,
        peers={"diffrax": diffrax},
        compare=close(1e-6),
    )


def _as_array(values):
    return np.asarray([float(v) for v in values])


def levenberg_marquardt(samples=SAMPLES):
    """A whole fit of four parameters, from a start far off to convergence, programs compiled."""
    t, u, y = record(samples)
    experiment = sampled(t, u, y, band_limited)

    def ours():
        def run():
            fitted = fit(OBJECTIVE, START, experiment, states=AT_REST, free_states=False)
            return _as_array(fitted.params)

        run()
        return run

    def scipy():
        from scipy.optimize import least_squares

        pieces = band_limited(t, jnp.asarray(u))
        rest = State(jnp.asarray(0.0), jnp.asarray(0.0))

        def residual(z):
            return y[1:] - np.asarray(simulate_outputs(Params(*map(jnp.asarray, z)), rest, pieces))

        def run():
            # MINPACK's method of Levenberg and Marquardt, with its own finite differences.
            return least_squares(residual, _as_array(START), method="lm", x_scale="jac").x

        run()
        return run

    return Work(
        unit="s/fit",
        scale=1.0,
        ours=ours,
        peers={"scipy": scipy},
        compare=close(1e-5),
    )


def _starts(count):
    rng = np.random.default_rng(1)
    return Params(*(np.asarray(v) * np.exp(rng.uniform(-1, 1, count)) for v in TRUE))


def multistart_64(samples=4096, count=64):
    """64 starts, the best minimum of all; the peer takes them one after another by `fit`."""
    t, u, y = record(samples)
    experiment, starts = sampled(t, u, y, band_limited), _starts(count)

    def ours():
        def run():
            fitted = multistart(OBJECTIVE, START, experiment, starts, states=AT_REST)
            return _as_array(fitted.best.params)

        run()
        return run

    def in_turn():
        def run():
            fits = [
                fit(OBJECTIVE, Params(*(v[i] for v in starts)), experiment, states=AT_REST)
                for i in range(count)
            ]
            return _as_array(min(fits, key=lambda f: f.loss[-1]).params)

        fit(OBJECTIVE, START, experiment, states=AT_REST)
        return run

    return Work(
        unit="s",
        scale=1.0,
        ours=ours,
        peers={"in_turn": in_turn},
        compare=close(1e-3),
    )


def recipe(name, training, test=None):
    """A recipe from its command to its scores, in a process of its own, with its compile time."""
    scores = {}

    def run():
        with tempfile.TemporaryDirectory() as folder:
            command = [
                sys.executable,
                "-m",
                "experiments.run",
                f"experiment={name}",
                f"data.path={(RECORDS / training).resolve()}",
                f"output.dir={folder}/run",
            ]
            command += [f"data.test_path={(RECORDS / test).resolve()}"] if test else []
            tic = time.perf_counter()
            completed = subprocess.run(command, capture_output=True, text=True)
            seconds = time.perf_counter() - tic
            if completed.returncode:
                raise RuntimeError(completed.stderr.strip().splitlines()[-1])
            run_json = json.loads((Path(folder) / "run" / "run.json").read_text())
            scores.update(run_json["metrics"])
            scores["fit_seconds"] = run_json["compile_seconds"] + run_json["run_seconds"]
            return Timed(seconds, None)

    return Work(
        unit="s",
        scale=1.0,
        ours=lambda: run,
        peers={},
        compare=lambda a, b: None,
        extra=lambda: {"scores": scores},
    )


ROWS = {
    "fit.simulation_grad": simulation_grad,
    "fit.levenberg_marquardt": levenberg_marquardt,
    "fit.multistart_64": multistart_64,
    "fit.silverbox": partial(recipe, "silverbox", "silverbox.csv"),
    "fit.cascaded_tanks": partial(
        recipe, "cascaded_tanks_fit", "cascaded_tanks_train.csv", "cascaded_tanks_test.csv"
    ),
    "fit.emps": partial(recipe, "emps", "emps_train.csv", "emps_test.csv"),
}
