"""Ensembles: each member as if it were alone, in one program."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from sim import Stepper
from sim.fit import (
    Prediction,
    Simulation,
    Truncated,
    ensemble,
    fit,
    load,
    save,
    simulated,
)
from tests.filters.derivatives import quick
from tests.rnn.small import OBJECTIVE, free_run, recorded, start

ADAM = optax.adam(0.03)
TRAINING, VALIDATION = [recorded(30, 0), recorded(40, 1), recorded(30, 2)], recorded(60, 3)
STARTS = quick(jax.vmap(lambda key: start(key, 9)))(jax.random.split(jax.random.key(0), 3))
WINDOWS = Truncated(OBJECTIVE, 15, batch=2, seed=1)
DESCENT = {"solver": ADAM, "validation": VALIDATION, "patience": 3, "steps": 20}


def member(tree, i):
    return jax.tree.map(lambda leaf: leaf[i], tree)


def damped(p):
    return Stepper(jnp.asarray, lambda s, u: 2 * (p["a"] * s + p["b"] * jnp.tanh(p["c"] * u),))


PHYSICS = Simulation(damped)
PLACES = {
    "a": jnp.array([0.1, 0.9, 0.5]),
    "b": jnp.array([1.0, 0.2, -5.0]),
    "c": 1 / jnp.arange(1.0, 4),
}


def few():
    return [e._replace(xs=e.xs[:, 0]) for e in TRAINING], VALIDATION._replace(
        xs=VALIDATION.xs[:, 0]
    )


def levenberg(steps):
    """Training records and options, with which all ensembles of physics share what is compiled."""
    training, validation = few()
    return training, {
        "validation": validation,
        "patience": 3,
        "steps": steps,
        "states": 0.1,
        "parameters": {"c": [0.0, 3.0]},
    }


@pytest.fixture(scope="module")
def trained():
    return ensemble(WINDOWS, STARTS, TRAINING, **DESCENT)


@pytest.mark.parametrize("solver", [ADAM, None], ids=["windows", "levenberg"])
def test_members_are_as_if_they_were_alone(solver, trained):
    if solver is ADAM:
        found, objective, starts, training, options = trained, WINDOWS, STARTS, TRAINING, DESCENT
    else:
        (training, options), objective, starts = levenberg(9), PHYSICS, PLACES
        found = ensemble(objective, starts, training, **options)
    lengths = set()
    for i in range(3):
        alone = fit(objective, member(starts, i), training, **options)
        steps = len(alone.loss)
        np.testing.assert_allclose(found.loss[:steps, i], alone.loss, rtol=1e-9)
        np.testing.assert_allclose(found.validation[:steps, i], alone.validation, rtol=1e-9)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, 1e-7),
            member(found.params, i),
            alone.params,
        )
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, 1e-7),
            member(found.states, i),
            alone.states,
        )
        np.testing.assert_allclose(found.best[i], alone.validation.min(), rtol=1e-9)
        assert (found.loss[steps:, i] == found.loss[steps - 1, i]).all()  # it has ended
        lengths.add(steps)
    assert found.finite.all() and len(found.loss) == max(lengths)


def test_it_goes_on_from_a_file_bit_for_bit(trained, tmp_path):
    some = ensemble(WINDOWS, STARTS, TRAINING, **{**DESCENT, "steps": 4})
    save(tmp_path / "search.npz", some.search)
    like = ensemble(WINDOWS, STARTS, TRAINING, **{**DESCENT, "steps": 0}).search
    seen = []
    whole = ensemble(
        WINDOWS,
        STARTS,
        TRAINING,
        search=load(tmp_path / "search.npz", like),
        report=lambda step, losses: seen.append((step, losses.shape)),
        **DESCENT,
    )
    for a, b in zip(jax.tree.leaves(whole.search), jax.tree.leaves(trained.search), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(whole.validation, trained.validation[4:])
    assert seen == [(step, (3,)) for step in range(5, len(trained.loss))]


def test_a_member_that_diverges_is_marked_and_harms_no_other():
    training, options = levenberg(2)
    bad = {**PLACES, "a": jnp.array([0.1, 1e200, 0.5])}
    found, whole = (ensemble(PHYSICS, starts, training, **options) for starts in (bad, PLACES))
    assert found.finite.tolist() == [True, False, True] and np.isinf(found.best[1])
    for i in (0, 2):
        np.testing.assert_allclose(found.params["a"][i], whole.params["a"][i], rtol=1e-9)
    assert found.params["a"][1] == 1e200
    assert found.message == "3 members: 2 stopped after 2 evaluations, 1 diverged at the start"
    validation = options["validation"]
    mean, sd = simulated(PHYSICS, found.params, validation, 0.1, found.finite)
    alone = quick(lambda p: PHYSICS.run(p, 0.1, validation)[1])
    runs = np.stack([alone(member(found.params, i)) for i in (0, 2)])
    np.testing.assert_allclose(mean, runs.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(sd, runs.std(axis=0, ddof=1), rtol=1e-9)


def test_the_mean_of_members_is_better_than_most_and_they_spread(trained):
    mean, sd = simulated(WINDOWS, trained.params, VALIDATION)
    runs = np.stack([free_run(member(trained.params, i), VALIDATION) for i in range(3)])
    np.testing.assert_allclose(mean, runs.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(sd, runs.std(axis=0, ddof=1), rtol=1e-9)
    errors = np.sum((np.stack([mean, *runs]) - np.asarray(VALIDATION.y)) ** 2, axis=(1, 2))
    assert errors[0] < errors[1:].mean() and (sd > 0).all()
    alone = simulated(OBJECTIVE, jax.tree.map(lambda x: x[:1], trained.params), VALIDATION)
    assert (alone.sd == 0).all()


def test_mistakes_are_one_line(trained):
    training, options = levenberg(2)
    silent = [training[0]._replace(xs=training[0].xs.at[3].set(jnp.nan)), *training[1:]]
    for call, line in [
        (
            lambda: ensemble(
                WINDOWS,
                jax.tree.map(lambda x: x[:2], STARTS),
                TRAINING,
                **{**DESCENT, "search": trained.search},
            ),
            "search: expected that of 2 members with",
        ),
        (
            lambda: ensemble(WINDOWS, STARTS, TRAINING, **{**DESCENT, "search": 3}),
            "search: expected that of 3 members with",
        ),
        (
            lambda: ensemble(
                WINDOWS,
                jax.tree.map(lambda x: x[::-1], STARTS),
                TRAINING,
                **{**DESCENT, "search": trained.search},
            ),
            "search: expected the problem it began with, in whose units it counts, "
            "got another: start",
        ),
        (
            lambda: ensemble(
                WINDOWS, STARTS, TRAINING[::-1], **{**DESCENT, "search": trained.search}
            ),
            "search: expected the problem it began with, in whose units it counts, "
            "got another: experiments",
        ),
        (
            lambda: ensemble(
                WINDOWS,
                STARTS,
                TRAINING,
                **{**DESCENT, "search": trained.search, "solver": optax.sgd(0.1)},
            ),
            "search: expected the state of a search by this objective and solver, "
            "got that of another, a sim.fit.solvers.truncated_backprop",
        ),
        (
            lambda: ensemble(OBJECTIVE, STARTS, TRAINING, **{**DESCENT, "search": trained.search}),
            "search: expected the state of a search by this objective and solver, "
            "got that of another, a sim.fit.solvers.truncated_backprop",
        ),
        (
            lambda: ensemble(
                WINDOWS,
                STARTS,
                TRAINING,
                **{**DESCENT, "search": trained.search._replace(finite=jnp.ones(3))},
            ),
            "search: expected finite as bool[3], got float64[3]",
        ),
        (
            lambda: ensemble(PHYSICS, {**PLACES, "a": 0.1}, training, states=0.1),
            "starts: expected one leading axis, of the members, got none, 3",
        ),
        (
            lambda: ensemble(PHYSICS, {"a": jnp.ones((0, 2))}, training),
            "starts: expected one leading axis, of the members, got 0",
        ),
        (
            lambda: ensemble(PHYSICS, {**PLACES, "a": jnp.full(3, 1e200)}, training, **options),
            "starts: expected one from which the model stays finite over the records, got 3 that",
        ),
        (
            lambda: ensemble(PHYSICS, PLACES, silent, **options),
            "experiments[0].xs: expected finite inputs, got 1 of",
        ),
        (
            lambda: ensemble(PHYSICS, PLACES, training, states=0.1, solver="adam"),
            "solver: expected None, GaussNewton() or a transformation of optax, got 'adam'",
        ),
        (
            lambda: ensemble(PHYSICS, PLACES, training, states=0.1, patience=0),
            "patience: expected an integer of at least 1, got 0",
        ),
        (
            lambda: simulated(Prediction(damped), PLACES, training[0]),
            "objective: expected a Simulation, got Prediction",
        ),
        (
            lambda: simulated(PHYSICS, PLACES, training[0], 0.1, np.zeros(3, bool)),
            "finite: expected a flag for each of 3 members, one true at least, got",
        ),
        (
            lambda: simulated(PHYSICS, {"a": 1.0}, training[0]),
            "params: expected one leading axis, of the members, got none",
        ),
    ]:
        with pytest.raises(ValueError) as raised:
            call()
        assert str(raised.value).startswith(line) and "\n" not in str(raised.value), raised.value
