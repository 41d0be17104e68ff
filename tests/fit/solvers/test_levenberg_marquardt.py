"""The core of a fit: triangles against differences, known parameters, words."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.signal import lfilter

from sim import Stepper, rollout
from sim.fit import GaussNewton, Truncated, bands, multistart, shoot
from sim.fit.parameters.constraints import Prior
from sim.fit.problem.assemble import build_problem
from sim.fit.problem.errors import DivergenceError
from sim.fit.problem.linearisation import linearise
from sim.fit.problem.losses import residual_vector
from sim.fit.problem.objectives import Simulation
from sim.fit.search.fit import fit
from sim.records.experiment import Experiment


def lag(p):
    """s' = s + h (tanh(u) − s) / T, seen as c s: a parameter each of gain and pace."""
    return Stepper(jnp.asarray, lambda s, u: 2 * (s + 0.2 * (jnp.tanh(u) - s) / p["T"],))


LAG = Simulation(lag, lambda p, y, u: (p["c"] * y)[None])
TRUTH, START = {"T": 1.5, "c": 2.0}, {"T": 0.8, "c": 1.0}
SD = 0.05


def record(steps, s0, seed, dtype=float, y0=False):
    """A noisy record, its noiseless one, and an eighth of it missing."""
    rng = np.random.default_rng(seed)
    u = 2 * rng.normal(size=steps)
    pole = 1 - 0.2 / TRUTH["T"]
    s = lfilter([1 - pole], [1, -pole], np.tanh(u), zi=[pole * s0])[0]
    y = 2 * s[:, None] + SD * rng.normal(size=(steps, 1))
    y[rng.integers(0, steps, steps // 8)] = np.nan
    first = jnp.asarray([2 * s0 + SD * rng.normal()], dtype) if y0 else None
    return Experiment(jnp.asarray(u, dtype), jnp.asarray(y, dtype), first)


RECORDS = [record(80, 0.5, 0), record(50, -0.5, 1, y0=True), record(80, 0.0, 2)]
PRIOR = {"T": {"kind": "positive", "mean": 1.4, "sd": 0.5}}


def test_the_triangle_is_that_of_differences():
    problem, z = build_problem(LAG, START, RECORDS, PRIOR, 0.2)
    z = z + 0.1
    both, h = jax.jit(lambda z: residual_vector(problem, z)), 1e-6
    J = np.stack([(both(z + d) - both(z - d)) / (2 * h) for d in h * np.eye(5)], axis=1)
    r, found = np.asarray(both(z)), linearise(problem, z)
    np.testing.assert_allclose(found.loss, 0.5 * r @ r, rtol=1e-12)
    np.testing.assert_allclose(found.R.T @ found.R, J.T @ J, rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(found.R.T @ found.q, J.T @ r, rtol=1e-7, atol=1e-7)
    assert problem.samples == sum(np.isfinite(e.y).sum() for e in RECORDS) + 1
    assert problem.unknowns == 5


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_several_records_with_gaps_give_the_parameters(dtype):
    records = [record(80, 0.5, 0, dtype), record(50, -0.5, 1, dtype, y0=True)]
    start = jax.tree.map(dtype, START)
    found = fit(LAG, start, records, states=dtype(0.2), tolerance=1e-6)
    error = found.uncertainty.value - [1.5, 2.0, 0.5, -0.5]
    assert (np.abs(error) < 3 * found.uncertainty.standard_error).all()
    assert found.uncertainty.standard_error.max() < 0.1
    assert 0.85 * SD < found.noise[0] < 1.15 * SD
    assert found.params["T"].dtype == dtype and "converged" in found.message
    assert (np.diff(found.loss) <= 0).all()


def test_what_only_a_product_settles_is_said():
    def model(p):
        return Stepper(jnp.asarray, lambda s, u: 2 * (0.8 * s + p["gain"] * p["area"] * u,))

    u = jnp.asarray(np.random.default_rng(5).normal(size=40))
    y = rollout(model({"gain": 2.0, "area": 0.5}).step, jnp.asarray(0.0), u)[1][:, None]
    start = {"gain": 1.0, "area": 1.5, "idle": 3.0}
    y = y + 0.01 * jnp.sin(97 * u)[:, None]
    found = fit(Simulation(model), start, Experiment(u, y), states=0.1)
    assert np.isclose(found.params["gain"] * found.params["area"], 1.0, atol=0.02)
    assert sorted(found.uncertainty.open) == [
        "area and gain: the data determine only a combination of them, not each",
        "idle has no effect on the outputs: the data do not determine it",
    ]
    error = dict(zip(found.uncertainty.names, found.uncertainty.standard_error, strict=True))
    assert np.isinf([error["area"], error["gain"], error["idle"]]).all()
    assert error["states[0]"] < 0.1


def test_open_directions_name_their_parameters_whatever_their_values():
    """Two products, each settled as one number; a state at 0, and a parameter near it, are sure."""

    def model(p):
        b = jnp.stack([p["gain"] * p["area"], p["lever"] * p["arm"]])
        return Stepper(jnp.asarray, lambda s, u: 2 * (0.8 * s + b @ u + p["bias"],))

    u = jnp.asarray(np.random.default_rng(7).normal(size=(60, 2)))
    truth = {"gain": 2.0, "area": 0.5, "lever": 1.0, "arm": 3.0, "bias": 0.0}
    y = rollout(model(truth).step, jnp.asarray(0.0), u)[1][:, None]
    start = {"gain": 1.0, "area": 1.5, "lever": 2.0, "arm": 2.0, "bias": 0.0}
    found = fit(Simulation(model), start, Experiment(u, y), states=0.0)
    assert found.uncertainty.open == (
        "area and gain: the data determine only a combination of them, not each",
        "arm and lever: the data determine only a combination of them, not each",
    )
    error = dict(zip(found.uncertainty.names, found.uncertainty.standard_error, strict=True))
    assert error["states[0]"] < 1e-9 and error["bias"] < 1e-9


def test_a_model_that_diverges_on_the_way_is_left_and_said():
    """s' = s³ / w leaves the finite numbers where w is small, of either sign: and from twice
    the true w a full step leads to about 0, for a simulation is about linear in 1 / w."""

    def model(p):
        return Stepper(jnp.asarray, lambda s, u: 2 * (s**3 / p["w"] + u,))

    u = jnp.asarray(np.random.default_rng(6).normal(size=60))
    y = rollout(model({"w": 20.0}).step, jnp.asarray(0.0), u)[1][:, None]
    y = y + 0.01 * jnp.cos(50 * y)
    found = fit(Simulation(model), {"w": 42.0}, Experiment(u, y), states=0.1)
    assert np.isclose(found.params["w"], 20.0, rtol=0.01)
    bad = int(found.search.search.non_finite)
    assert bad > 0 and np.isfinite(found.loss).all()
    places = f"{bad} place" + "s" * (bad > 1)
    assert f"; the model diverged at {places} tried, which it left" in found.message
    with pytest.raises(DivergenceError, match="start: .* got a run that diverges"):
        fit(Simulation(model), {"w": 0.2}, Experiment(u, y), states=0.0)


def test_fixed_flags_and_counts_stay_so_and_a_bound_that_holds_is_said():
    table = jnp.array([0.1, 0.7])

    def model(p):
        slow = jnp.where(p["slow"], 1.0, 5.0)
        return Stepper(jnp.asarray, lambda s, u: 2 * (p["a"] * table[p["row"]] * s / slow + u,))

    u = np.random.default_rng(8).integers(-9, 9, 40)
    start = {"a": 0.5, "row": np.array(1), "slow": True}
    y = rollout(model(start | {"a": 1.0}).step, jnp.asarray(0.0), jnp.asarray(u, float))[1]
    kinds = {"row": "fixed", "slow": "fixed", "a": Prior(0.9, 1.0, (0.0, 2.0))}
    e = Experiment(jnp.asarray(u, float), np.asarray(y)[:, None].tolist())
    found = fit(Simulation(model), start, e, parameters=kinds, states=0)
    np.testing.assert_allclose(found.params["a"], 1.0, atol=1e-5)
    assert found.params["row"].dtype == int and found.params["slow"].dtype == bool
    assert "bound" not in found.message
    found = fit(Simulation(model), start, e, parameters=kinds | {"a": (0.0, 0.9)}, states=0)
    assert found.message.endswith("; a is held by its bound 0.9")


@pytest.mark.parametrize(
    "bounds",
    [
        {"T": (0.8, 5.0), "c": (-4.0, 3.0)},  # which the start lies on
        {"T": [0, np.inf], "c": [-np.inf, 4]},
        {"T": (-np.inf, 1.8), "c": (0.5, np.inf)},
    ],
)
def test_bounds_on_two_sides_and_on_one(bounds):
    found = fit(LAG, {"T": 0.8, "c": 3.0}, RECORDS, states=0.2, parameters=bounds)
    free = fit(LAG, START, RECORDS, states=0.2)
    np.testing.assert_allclose(found.uncertainty.value, free.uncertainty.value, atol=1e-4)
    np.testing.assert_allclose(
        found.uncertainty.standard_error, free.uncertainty.standard_error, rtol=1e-3
    )
    assert found.message.startswith("converged") and "bound" not in found.message


def test_one_bound_that_holds_is_said():
    for bounds, bound in (((2.5, np.inf), 2.5), ((-np.inf, 0.5), 0.5)):
        start = {"T": 1.5, "c": 3.0 if bound == 2.5 else 0.2}
        found = fit(LAG, start, RECORDS, states=0.2, parameters={"c": bounds, "T": "fixed"})
        np.testing.assert_allclose(found.params["c"], bound, atol=1e-3)
        assert found.message.endswith(f"; c is held by its bound {bound}")


@jax.custom_vjp
def backwards(x):
    return jnp.tanh(x)


backwards.defvjp(lambda x: (jnp.tanh(x), x), lambda x, g: (g * (1 - jnp.tanh(x) ** 2),))


def test_a_model_with_a_slope_backwards_alone_is_fitted_by_descent():
    def model(p):
        return Stepper(jnp.asarray, lambda s, u: 2 * (backwards(p["a"] * s) + u,))

    u = jnp.asarray(np.random.default_rng(9).normal(size=30))
    y = rollout(model({"a": 0.8}).step, jnp.asarray(0.0), u)[1][:, None]
    given = Simulation(model), {"a": 0.3}, Experiment(u, y)
    for solver in (None, GaussNewton()):
        with pytest.raises(ValueError, match="solver: expected one of optax, .* jax.custom_vjp"):
            fit(*given, states=0.0, solver=solver)
    found = fit(*given, states=0.0, solver=optax.lbfgs())
    np.testing.assert_allclose(found.params["a"], 0.8, atol=1e-4)
    assert found.uncertainty.covariance is None
    assert found.uncertainty.open[0].endswith("derivative: no covariance was computed")
    with pytest.raises(ValueError, match="solver: expected one of optax"):
        bands(found)


def alone(p):
    return Stepper(lambda: jnp.zeros(()), lambda s, u: 2 * (p["T"] * s + u,))


NAN = Experiment(jnp.ones(9).at[3].set(jnp.nan), jnp.ones((9, 1)))
NAMED = Experiment({"u": jnp.ones(9)}, jnp.ones((9, 1)))


@pytest.mark.parametrize(
    "change, words",
    [
        ({"parameters": {"T": (1.0, 2.0)}}, "parameters: T: expected a start between its bounds"),
        ({"parameters": {"c": "negative"}}, "parameters: c: no kind 'negative'"),
        ({"parameters": {"d": "fixed"}}, "parameters: there is no 'd'"),
        ({"experiments": Experiment(jnp.ones(2), jnp.ones((2, 1)))}, "2 samples for 2 parameters"),
        ({"experiments": Experiment(jnp.ones(9), jnp.full((9, 1), jnp.nan))}, "got NaN only"),
        ({"experiments": []}, "experiments: expected at least one"),
        ({"experiments": Experiment(jnp.ones(9), jnp.ones(9))}, r"y: expected shape \(N, outp"),
        ({"experiments": Experiment(jnp.ones(9), jnp.ones((9, 1)), 0.0)}, r"y0: expected shape"),
        ({"experiments": Experiment(jnp.ones(0), jnp.ones((0, 1)))}, "N above 0, got"),
        ({"parameters": ["T"]}, "parameters: expected kinds by name, got list"),
        ({"parameters": {"T": (0.0, None)}}, "parameters: T: expected two bounds that increase"),
        ({"parameters": {"T": (-np.inf, np.inf)}}, "parameters: T: expected two bounds that incr"),
        ({"parameters": {"T": (0.8, np.inf)}}, "T: expected a start off its only bound 0.8, about"),
        ({"parameters": {"T": Prior(1.0, 0.1, "postive")}}, "T: no kind 'postive'; did you mean"),
        ({"start": START | {"f": jnp.tanh}}, "start: expected real numbers, got f = "),
        ({"objective": lag}, "objective: expected Simulation, Prediction or Truncated"),
        ({"states": None}, "states: expected an initial state, which the model takes, got None"),
        (
            {"objective": Simulation(alone)},
            "states: expected None, as the model takes none, got one",
        ),
        (
            {"experiments": [RECORDS[0], NAN]},
            r"experiments\[1\].xs: expected finite inputs, got 1 of 9 that are not, first at 3",
        ),
        (
            {"experiments": [RECORDS[0], NAMED], "objective": Truncated(LAG, 5)},
            "experiments: expected inputs of one structure, "
            "to lie side by side in windows, got others",
        ),
        ({"states": [0.0, 0.1]}, "states: expected one for each of 3 experiments, got 2"),
        ({"start": {"T": np.nan, "c": 1.0}}, "start: expected finite numbers, got T = nan"),
    ],
)
def test_mistakes_are_named(change, words):
    given = {"objective": LAG, "start": START, "experiments": RECORDS, "states": 0.2} | change
    with pytest.raises(ValueError, match=words):
        fit(**given)


def test_every_search_names_an_input_that_is_not_finite():
    for search, how in ((multistart, {"starts": 2, "batch": 2}), (shoot, {"segments": 2})):
        with pytest.raises(ValueError, match=r"experiments\[1\].xs: expected finite inputs"):
            search(LAG, START, [RECORDS[0], NAN], states=0.2, **how)


def test_what_a_search_knows_of_hundreds_of_unknowns_it_tells():
    """A regression has its exact standard errors, of more unknowns than other searches report."""
    rng = np.random.default_rng(0)
    U = rng.normal(size=(400, 310))
    y = U @ rng.normal(size=310) + 0.1 * rng.normal(size=400)
    model = Simulation(lambda p: Stepper(lambda: jnp.zeros(()), lambda s, u: (s, (p @ u)[None])))
    found = fit(model, np.zeros(310), Experiment(jnp.asarray(U), y[:, None])).uncertainty
    _, squares = np.linalg.lstsq(U, y)[:2]
    error = np.sqrt(squares / 90 * np.diagonal(np.linalg.inv(U.T @ U)))
    np.testing.assert_allclose(found.standard_error, error, rtol=1e-5)


def test_triangles_of_experiments_of_several_lengths_are_found_one_after_the_other():
    # Two batches of them side by side can wait for each other for ever (jaxlib 0.10, 2 cores).
    lengths = (5, 4, 3)
    experiments = [Experiment(None, jnp.ones((n, 1))) for n in lengths]
    decay = Simulation(lambda p: Stepper(jnp.asarray, lambda s, _: 2 * (p * s,)))
    problem, z = build_problem(decay, 0.5, experiments, None, 1.0)
    [whole] = jax.make_jaxpr(linearise)(problem, z).jaxpr.eqns
    late, triangles = set(), 0
    for eqn in whole.params["jaxpr"].jaxpr.eqns:
        waits = any(v in late for v in eqn.invars if not hasattr(v, "val"))
        if eqn.params.get("name") == "qr":
            assert waits or not triangles
            triangles += 1
            late = set(eqn.outvars)
        elif waits:
            late |= set(eqn.outvars)
    assert triangles == len(lengths) + 1
