"""Networks learn: by windows and batches, over gaps, to be continued, and stopped in time."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from sim import Stepper
from sim.fit import Experiment, Simulation, Truncated, fit, load, save
from sim.fit.problem.assemble import build_problem
from sim.fit.problem.losses import loss
from sim.fit.solvers.batches import shuffle_windows, split_windows
from sim.fit.solvers.truncated_backprop import TruncatedBackprop
from sim.rnn import pieces
from tests.filters.derivatives import quick
from tests.rnn.small import OBJECTIVE, free_run, recorded, start

START = start(jax.random.key(0), 3)
WIDE = start(jax.random.key(0), 9)  # too many unknowns for a covariance, which takes its time
ADAM = optax.chain(
    optax.clip_by_global_norm(1.0), optax.adam(optax.cosine_decay_schedule(2e-2, 4000))
)
SGD = optax.sgd(1e-6)


def close(a, b, rtol=1e-10):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol, 1e-13), a, b)


def test_a_gru_learns_a_small_nonlinear_system():
    training, validation, test = recorded(1500, 0), recorded(300, 1), recorded(300, 2)
    found = fit(
        Truncated(OBJECTIVE, 50),
        WIDE,
        training,
        solver=ADAM,
        validation=validation,
        patience=120,
        steps=120,
    )
    error = free_run(found.params, test) - test.y
    assert np.sqrt(np.mean(error**2)) < 0.1 * np.std(test.y)  # 10 % of a free run, at most
    # What decides is the error of the free run, in the unit of the training record.
    errors = (free_run(found.params, validation) - validation.y) / np.std(training.y)
    np.testing.assert_allclose(0.5 * np.sum(errors**2), found.validation.min(), rtol=1e-9)
    # Schedules count windows: thirty a pass.
    count = optax.tree_utils.tree_get_all_with_path(found.search.search.optimiser, "count")
    assert {int(n) for _, n in count} == {30 * (len(found.loss) - 1)}


def test_training_goes_on_from_a_file_bit_for_bit(tmp_path):
    parts = pieces(recorded(110, 0), 25, warmup=5)
    assert len(parts) == 5

    def run(steps, search=None):
        return fit(
            Truncated(OBJECTIVE, 15, batch=2, seed=7),
            WIDE,
            parts,
            solver=ADAM,
            steps=steps,
            search=search,
            validation=recorded(40, 1),
        )

    save(tmp_path / "search.npz", run(2).search)
    search = load(tmp_path / "search.npz", run(0).search)
    whole, continued = run(5), run(5, search)
    for a, b in zip(jax.tree.leaves(whole.search), jax.tree.leaves(continued.search), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(whole.validation[2:], continued.validation)
    assert len(set(whole.loss.tolist())) == 6


@pytest.fixture(scope="module")
def ragged():
    """Three lengths, and a gap."""
    es = [recorded(n, seed) for seed, n in enumerate((20, 33, 29))]
    es[1] = es[1]._replace(y=es[1].y.at[5:9].set(jnp.nan))
    return es


def after(experiments, window, batch=None, solver=SGD, passes=1, begin=START):
    problem, z = build_problem(OBJECTIVE, begin, experiments, validated=True)
    training = TruncatedBackprop(solver, window, batch, 3)
    search = training.init(problem, z)
    for _ in range(passes):
        search = training.step(problem, search, 0.0)
    return problem, z, search


def test_each_record_counts_once_in_a_pass(ragged):
    # So small a step that the slopes of all batches add up to that of the whole.
    problem, z, search = after(ragged, 40, 2)
    slope = quick(jax.grad(loss, 1))(problem, z) / (2 * 33)
    assert np.linalg.norm((z - search.z) / 1e-6 - slope) < 1e-4 * np.linalg.norm(slope)


def test_no_step_where_a_batch_has_ended_and_the_state_goes_on_through_a_gap(ragged):
    # 20, 33 and 29 samples by windows of 8: 3, 5 and 4 of them, not 5 each.
    search = after(ragged, 8, 1, ADAM)[2]
    assert int(optax.tree_utils.tree_get(search.optimiser[1][0], "count")) == 12
    # The last window moves as much after windows without samples as after others.
    e = recorded(33, 1)

    def change_of(y):
        problem, z = build_problem(OBJECTIVE, START, e._replace(y=y), validated=True)
        problem = problem.with_weights(jnp.ones(1))
        training = TruncatedBackprop(SGD, 8, None, 3)
        return training.step(problem, training.init(problem, z), 0.0).z - z

    gone = jnp.full_like(e.y, jnp.nan)
    last = change_of(gone.at[32:].set(e.y[32:]))
    expected = change_of(e.y) - change_of(e.y.at[32:].set(jnp.nan))
    assert 0 < np.linalg.norm(expected - last) < 1e-3 * np.linalg.norm(last)


def test_batches_are_drawn_anew_and_hold_every_record(ragged):
    windows = quick(split_windows, static_argnums=1)(
        build_problem(OBJECTIVE, START, ragged)[0], 16
    )[0]
    shuffle = quick(shuffle_windows, static_argnums=1)
    drawn = [shuffle(windows, 2, jax.random.key(n)) for n in range(4)]
    for found in drawn:
        assert found.rows.shape == (6, 2) and found.e.y.shape == (6, 2, 16, 1)
        real = found.real.any(axis=2)
        assert sorted(np.asarray(found.rows)[::3][np.asarray(real)[::3]].tolist()) == [0, 1, 2]
        np.testing.assert_array_equal(found.first, [True, False, False] * 2)
        # Rows are the records they say, from one window to the next.
        for w in range(6):
            for b in np.flatnonzero(real[w]):
                xs = windows.e.xs[w % 3, found.rows[w, b]]
                np.testing.assert_array_equal(found.e.xs[w, b], xs)
    assert len({np.asarray(found.rows).tobytes() for found in drawn}) > 1


def test_what_is_missing_or_filled_up_changes_nothing(ragged):
    def fill_up(e, more):
        xs = jnp.concatenate([e.xs, jnp.full((more, 1), 9.0)])
        return Experiment(xs, jnp.concatenate([e.y, jnp.full((more, 1), jnp.nan)]))

    other = [fill_up(e, 33 - len(e.y)) for e in ragged]
    close(after(other, 11, 2, ADAM, 3)[2].z, after(ragged, 11, 2, ADAM, 3)[2].z, 1e-9)


def test_a_loss_that_turns_non_finite_stops_and_says_where():
    # The rate is no number from the sixth window on, the second of pass three.
    solver = optax.sgd(lambda count: jnp.where(count < 5, 1e-3, jnp.nan))
    e = recorded(60, 0)
    found = fit(
        Truncated(OBJECTIVE, 30), WIDE, e, solver=solver, steps=100, validation=e, patience=100
    )
    assert len(found.loss) == 19 and np.isfinite(found.loss).all()
    assert found.message == (
        "the loss is not finite, the last good parameters are kept, after 18 passes; the "
        "model diverged at 31 places tried, which it left, the last in window 2 of pass 18"
    )
    np.testing.assert_allclose(
        loss(*build_problem(OBJECTIVE, found.params, e, validated=True)), found.loss.min()
    )


def test_more_unknowns_than_samples_are_for_validation_to_stop():
    few, other = recorded(30, 0), recorded(60, 1)
    with pytest.raises(ValueError, match="expected more samples than unknowns, got 30 samples"):
        fit(Truncated(OBJECTIVE, 30), WIDE, few, steps=2)
    found = fit(Truncated(OBJECTIVE, 30), WIDE, few, steps=2, validation=other)
    assert np.isfinite(found.noise).all() and found.validation.min() < found.validation[0]


def test_single_precision_stays_so():
    e = jax.tree.map(lambda x: x.astype("float32"), recorded(80, 0))
    narrow = start(jax.random.key(0), 3, "float32")
    _, z, search = after(pieces(e, 30, warmup=5), 20, 2, ADAM, 2, narrow)
    assert z.dtype == search.z.dtype == search.loss.dtype == jnp.float32
    assert search.loss < after([e], 20, 2, ADAM, 0, narrow)[2].loss


def test_mistakes_are_one_line():
    e = recorded(60, 0)
    silent = Simulation(lambda p: Stepper(lambda: (), lambda c, u: (c, p * u * jnp.nan)))
    for call, line in [
        (
            lambda: Truncated(OBJECTIVE, 10, batch=0),
            "batch: expected an integer of at least 1, got 0",
        ),
        (
            lambda: fit(Truncated(OBJECTIVE, 10), START, e._replace(xs=jnp.ones((60, 2)))),
            "x: expected (..., 1), the inputs of the cell, got shape (2,)",
        ),
        (
            lambda: fit(Truncated(OBJECTIVE, 10), START, e._replace(y=jnp.ones((60, 2)))),
            "observe: expected 2 outputs as the record has, got shape (1,)",
        ),
        (
            lambda: fit(Truncated(silent, 10), 1.0, e),
            "start: expected parameters with which the model stays finite",
        ),
    ]:
        with pytest.raises(ValueError) as raised:
            call()
        assert str(raised.value).startswith(line) and "\n" not in str(raised.value), raised.value
