"""Descent by optax, in whole and in windows: slopes, refusals, early stopping, going on."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.signal import lfilter

from filters import Gaussian, LinearGaussian, kalman
from sim import Stepper, rollout
from sim.fit import Experiment, Prediction, Simulation, fit
from sim.fit.problem.assemble import build_problem
from sim.fit.problem.losses import loss
from sim.fit.problem.objectives import Truncated
from sim.fit.search.checkpoint import load, save
from sim.fit.solvers.gauss_newton import GaussNewton
from sim.fit.solvers.truncated_backprop import TruncatedBackprop
from tests.filters.derivatives import check_gradient, quick

TRUTH = {"a": 0.8, "b": 0.5}
START = {"a": 0.3, "b": 1.0}


def squashed(p):
    return Stepper(jnp.asarray, lambda s, u: 2 * (p["a"] * jnp.tanh(s) + p["b"] * u,))


SIMULATION = Simulation(squashed)


def make_record(length, seed=0, noise=0.0, dtype=float):
    rng = np.random.default_rng(seed)
    u = rng.normal(size=length)
    y, s = np.zeros(length), 0.3
    for k, now in enumerate(u):
        y[k] = s = TRUTH["a"] * np.tanh(s) + TRUTH["b"] * now
    y = jnp.asarray(y + noise * rng.normal(size=length))
    return Experiment(jnp.asarray(u, dtype), y[:, None].astype(dtype), jnp.full(1, 0.3, dtype))


def one_pass(optimiser, window, problem, z):
    """The state after one pass over the records in windows."""
    solver = TruncatedBackprop(optimiser, window, None, 0)
    return solver.step(problem, solver.init(problem, z), 0.0)


@pytest.fixture(scope="module")
def records():
    """Two lengths, a gap, and one record that says nothing of its beginning."""
    first, second = make_record(40), make_record(61, 1)
    return [first._replace(y=first.y.at[5:9].set(jnp.nan)), second._replace(y0=None)]


def test_the_slope_of_squares_with_gaps_and_a_prior_is_that_of_differences(records):
    kinds = {"a": {"mean": 0.5, "sd": 0.2, "kind": [0.0, 1.0]}, "b": "positive"}
    problem, z = build_problem(Simulation(squashed, checkpoint_every=7), START, records, kinds, 0.1)
    check_gradient(lambda z: loss(problem, z), z)
    plain = build_problem(SIMULATION, START, records, kinds, 0.1)[0]
    kept, whole = quick(lambda z: (loss(problem, z), loss(plain, z)))(z)
    np.testing.assert_allclose(kept, whole, rtol=1e-14)


def test_windows_recover_known_parameters(records):
    solver = optax.adam(optax.exponential_decay(0.1, 60, 0.5))
    found = fit(Truncated(SIMULATION, 16), START, records, states=0.5, solver=solver)
    assert abs(found.params["a"] - 0.8) < 1e-4 and abs(found.params["b"] - 0.5) < 1e-4
    assert len(found.loss) == 101 and found.loss[-1] < 1e-6 * found.loss[0]
    np.testing.assert_allclose(found.states, 0.3, atol=1e-3)


def test_one_window_as_long_as_the_records_is_the_whole_gradient(records):
    kinds = {"a": {"mean": 0.5, "sd": 0.2}}
    problem, z = build_problem(SIMULATION, START, records, kinds, 0.1)
    rate = 1e-2
    solver = optax.sgd(rate)
    after = one_pass(solver, 100, problem, z)
    # The optimiser sees the mean over both records, the shorter filled up.
    slope = quick(jax.grad(loss, 1))(problem, z) / (2 * 61)
    np.testing.assert_allclose((z - after.z) / rate, slope, rtol=1e-9)


def test_windows_carry_the_state_and_no_slope_across_a_cut():
    e = make_record(8)
    problem, z = build_problem(SIMULATION, START, e, None, 0.1)
    solver = optax.sgd(1e-2)
    after = one_pass(solver, 3, problem, z)
    # By hand: the optimiser moves at samples 3, 6 and 8, and the state is a number there.
    by_hand, carry = z, 0.1

    def window(z, carry, start):
        p = problem.parameters(z[:2])
        s = 0.1 * z[2] if carry is None else carry  # in units of the start
        carry, ys = rollout(squashed(p).step, s, e.xs[start : start + 3])
        errors = jnp.sum(((e.y[start : start + 3, 0] - ys) * problem.weights) ** 2)
        if start == 0:
            errors += jnp.sum(((e.y0 - s) * problem.weights) ** 2)
        return 0.5 * errors / 3, carry

    carry = None
    slopes = quick(jax.grad(window, has_aux=True), static_argnums=2)
    for start in (0, 3, 6):
        slope, carry = slopes(by_hand, carry, start)
        by_hand = by_hand - 1e-2 * slope
    np.testing.assert_allclose(after.z, by_hand, rtol=1e-12)


def level(p):
    one = jnp.eye(1, dtype=p.dtype)
    return kalman(LinearGaussian(one, p[None], one, one[0]))


def test_a_likelihood_in_windows_is_that_of_the_records():
    # Rate zero: the parameters stay, and the losses of the windows add up to the loss.
    ys = [jnp.asarray(np.random.default_rng(n).normal(size=(n, 1))) for n in (5, 9)]
    prior = Gaussian(np.zeros(1), np.eye(1))
    problem, z = build_problem(Prediction(level), 0.5, [Experiment(y, y) for y in ys], None, prior)
    solver = optax.sgd(0.1)
    after = one_pass(solver, 9, problem, z)
    slope = quick(jax.grad(loss, 1))(problem, z) / (2 * 9)
    np.testing.assert_allclose((z - after.z) / 0.1, slope, rtol=1e-9)


@pytest.mark.parametrize("window", [None, 20])
def test_a_place_where_the_model_diverges_is_refused_and_said(window):
    def cubic(p):
        return Stepper(jnp.asarray, lambda s, u: 2 * (s + p * (u - s**3),))

    e = make_record(60)
    start = jnp.asarray(0.1)
    y = rollout(cubic(jnp.asarray(0.2)).step, 0.0, e.xs)[1]
    e = Experiment(e.xs, y[:, None])
    # The first step is far too long; it is halved until the model stays finite.
    solver = optax.adam(lambda count: jnp.where(count == 0, 100.0, 0.1))
    objective = Simulation(cubic) if window is None else Truncated(Simulation(cubic), window)
    found = fit(objective, start, e, states=0.0, solver=solver, steps=150)
    assert "the model diverged at" in found.message and int(found.search.search.non_finite) > 0
    assert np.isfinite(found.loss).all() and found.loss.min() < 0.1 * found.loss[0]
    # What is given back is the best of all places, not the last.
    best = found.problem.objective, found.params, e, None, found.states[0]
    np.testing.assert_allclose(loss(*build_problem(*best)), found.loss.min(), rtol=1e-12)


@pytest.mark.parametrize("solver", [optax.lbfgs(), optax.adam(0.05)], ids=["lbfgs", "adam"])
def test_descent_moves_an_initial_state_whatever_its_unit(solver):
    def large(p):
        return Stepper(jnp.asarray, lambda s, u: 2 * (p["a"] * s + 1e6 * p["b"] * u,))

    u = np.random.default_rng(9).normal(size=60)
    y = lfilter([5e5], [1.0, -0.9], u, zi=[0.9 * 3e6])[0]
    found = fit(
        Simulation(large),
        {"a": 0.5, "b": 1.0},
        Experiment(u, y[:, None]),
        states=1e6,
        solver=solver,
        steps=300,
    )
    np.testing.assert_allclose([found.params["a"], found.params["b"]], [0.9, 0.5], rtol=1e-3)
    np.testing.assert_allclose(found.states[0], 3e6, rtol=1e-3)
    np.testing.assert_allclose(found.uncertainty.value[2], found.states[0])


def taps(p):
    def step(past, u):
        past = jnp.concatenate([u[None], past[:-1]])
        return past, jnp.sum(p * past)

    return Stepper(lambda: jnp.zeros_like(p), step)


def test_validation_stops_a_fit_that_learns_the_noise():
    rng = np.random.default_rng(3)
    truth = np.zeros(25)
    truth[:3] = 1.0, 0.5, 0.2

    def noisy(length):
        u = rng.normal(size=length)
        y = np.convolve(u, truth)[:length] + rng.normal(size=length)
        return Experiment(jnp.asarray(u), jnp.asarray(y[:, None]))

    training, validation = noisy(40), noisy(200)
    found = fit(
        Simulation(taps),
        jnp.zeros(25),
        training,
        solver=optax.adam(0.05),
        validation=validation,
        patience=15,
        steps=400,
    )
    best = np.argmin(found.validation)
    assert 0 < best == len(found.validation) - 16 and len(found.loss) == len(found.validation)
    assert found.message.startswith("stopped early: the loss on the validation experiments")
    assert found.loss[-1] < found.loss[best]
    kept = build_problem(Simulation(taps), found.params, validation)
    weights = found.problem.weights
    np.testing.assert_allclose(loss(kept[0].with_weights(weights), kept[1]), found.validation[best])


def test_validation_has_the_outputs_and_states_of_the_experiments(records):
    two = make_record(30)._replace(y=jnp.zeros((30, 2)), y0=None)
    with pytest.raises(ValueError, match="validation: expected 1 outputs .*, got 2"):
        fit(SIMULATION, START, records, states=0.1, validation=two)
    with pytest.raises(ValueError, match="patience: expected an integer of at least 1, got 0"):
        fit(SIMULATION, START, records, states=0.1, patience=0)
    with pytest.raises(ValueError, match="window: expected an integer of at least 1, got 0"):
        Truncated(SIMULATION, 0)
    with pytest.raises(ValueError, match="states: expected one for each of 2 experiments, got 1"):
        fit(SIMULATION, START, records, states=[0.1, 0.1], validation=make_record(30))


@pytest.mark.parametrize(
    ("objective", "solver"),
    [
        (SIMULATION, None),
        (SIMULATION, GaussNewton()),
        (SIMULATION, optax.lbfgs()),
        (SIMULATION, optax.chain(optax.clip(1.0), optax.adam(optax.cosine_decay_schedule(0.1, 9)))),
        (Truncated(SIMULATION, 7), optax.adam(0.01)),
    ],
    ids=["levenberg", "gauss_newton", "lbfgs", "adam", "windows"],
)
def test_a_fit_continued_from_a_file_equals_an_uninterrupted_one(objective, solver, tmp_path):
    e, other = make_record(30, noise=0.1), make_record(30, 1, noise=0.1)

    def run(steps, search=None):
        return fit(
            objective,
            START,
            e,
            states=0.1,
            solver=solver,
            steps=steps,
            search=search,
            tolerance=0.0,
            validation=other,
            parameters={"a": [0.0, 1.0]},
        )

    save(tmp_path / "search.npz", run(2).search)
    search = load(tmp_path / "search.npz", run(0).search)
    whole, continued = run(5), run(5, search)
    assert int(whole.search.search.steps) == 5
    for a, b in zip(jax.tree.leaves(whole.search), jax.tree.leaves(continued.search), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(whole.loss[2:], continued.loss)


@pytest.mark.parametrize(
    ("objective", "solver"),
    [(SIMULATION, optax.lbfgs()), (Truncated(SIMULATION, 16), optax.adam(0.05))],
)
def test_single_precision_stays_so(objective, solver):
    start = {name: np.float32(value) for name, value in START.items()}
    e = make_record(40, dtype="float32")
    found = fit(objective, start, e, states=0.1, solver=solver, steps=60)
    assert found.search.search.z.dtype == found.search.best.z.dtype == jnp.float32
    assert abs(found.params["a"] - 0.8) < 1e-2 and abs(found.params["b"] - 0.5) < 1e-2
