"""Every cell of the package: one battery, for a new cell as well."""

import sys
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sim.rnn.cell
from sim import rollout
from sim.rnn import initialize_carry, mlp_params, state_space_params
from sim.rnn.cell import gates
from tests.filters.derivatives import quick
from tests.rnn.zoo import (
    CELLS,
    HIDDEN,
    INPUTS,
    STEPS,
    drive,
    normal,
    perturbed,
    rest,
    run,
    signal,
    weights,
)

EACH = pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
PARALLEL = {
    name: sys.modules[f"sim.rnn.{name}"].parallel
    for name in CELLS
    if hasattr(sys.modules[f"sim.rnn.{name}"], "parallel")
}
step = quick(lambda make, p, carry, x: make(p).step(carry, x), static_argnums=0)
BATCH = 5


def close(a, b, rtol=1e-12):
    """Leaf by leaf, in units of the largest."""

    def compare(x, y):
        np.testing.assert_allclose(x, y, rtol, rtol * np.abs(y).max(initial=0))

    jax.tree.map(compare, a, b)


def test_the_walk_finds_the_cells():
    assert {"diagonal", "elman", "gru", "lru", "lstm", "minimal_gated"} <= set(CELLS)
    assert {"diagonal", "lru"} <= set(PARALLEL)


@EACH
def test_half_precision_begins_and_runs(cell):
    params = cell.params(jax.random.key(0), 1, 2, dtype=jnp.bfloat16)
    ys = run(cell.stepper, params, jnp.ones((2, 1), jnp.bfloat16))[1]
    assert ys.dtype == jnp.bfloat16 and all(
        np.isfinite(x).all() for x in jax.tree.leaves((params, ys))
    )


@EACH
def test_a_seed_is_no_key(cell):
    line = r"^key: expected one of jax.random.key\(seed\), got int$"
    for call in (
        lambda: cell.params(0, 1, 2),
        lambda: mlp_params(0, (1, 2)),
        lambda: state_space_params(0, 1, 1, 1),
    ):
        with pytest.raises(ValueError, match=line):
            call()
    assert cell.params(jax.random.PRNGKey(0), 1, 2)
    with pytest.raises(ValueError, match="^sizes: expected at least inputs and outputs, got 3$"):
        mlp_params(jax.random.key(0), 3)


@EACH
def test_a_rollout_is_the_steps_one_by_one(cell):
    make, p, xs = cell.stepper, weights(cell), signal(STEPS, INPUTS)
    last, ys = run(make, p, xs)
    carry = rest(make, p)
    for x, y in zip(xs, ys, strict=True):
        carry, out = step(make, p, carry, x)
        close(out, y)
    close(carry, last)
    close(quick(lambda p, c: make(p).init(c))(p, carry), carry)  # what is given
    assert ys.shape == (STEPS, HIDDEN)
    assert not np.allclose(ys[0], ys[1])


@EACH
@settings(max_examples=5)
@given(seed=st.integers(0, 99), member=st.integers(0, BATCH - 1), at=st.integers(1, STEPS - 1))
def test_members_of_a_batch_and_later_inputs_do_not_matter(cell, seed, member, at):
    make, p, xs = cell.stepper, weights(cell), signal(STEPS, BATCH, INPUTS, seed=seed)
    last, ys = run(make, p, xs)
    alone, y = run(make, p, xs[:, member])
    close(y, ys[:, member])
    close(alone, jax.tree.map(lambda leaf: leaf[member], last))
    other = xs.copy()
    other[at:] += 1.0
    changed = run(make, p, other)[1]
    np.testing.assert_array_equal(changed[:at], ys[:at])
    assert not np.allclose(changed[at], ys[at])


@EACH
def test_an_ensemble_is_its_members(cell):
    make, members, xs = cell.stepper, [weights(cell), weights(cell, seed=5)], signal(STEPS, INPUTS)
    many = jax.tree.map(lambda *leaves: np.stack(leaves), *members)
    # Parameters batched, and steppers batched.
    ys = quick(lambda: jax.vmap(lambda s: from_rest(s, xs))(jax.vmap(make)(many)))()
    for y, p in zip(ys, members, strict=True):
        close(y, run(make, p, xs)[1])
    assert not np.allclose(ys[0], ys[1])


def from_rest(stepper, xs):
    return rollout(stepper.step, stepper.init(), xs)[1]


@EACH
def test_gradients_both_ways_agree_with_differences(cell):
    p, xs, target = weights(cell), signal(STEPS, INPUTS), signal(STEPS, HIDDEN, seed=1)
    start = jax.tree.map(np.ones_like, rest(cell.stepper, p))

    def loss(p, xs, carry, every=None):
        stepper = cell.stepper(p)
        last, ys = rollout(stepper.step, carry, xs, checkpoint_every=every)
        return ((ys - target) ** 2).sum() + sum(map(jnp.sum, jax.tree.leaves(last)))

    at = (p, xs, start)
    along = perturbed(jax.tree.map(np.zeros_like, at), 7)

    @quick
    def slopes():
        grads, kept = (jax.grad(loss, (0, 1, 2))(*at, every) for every in (None, 4))
        return grads, kept, jax.jvp(loss, at, along)[1]

    grads, kept, forward = slopes()
    close(kept, grads, 1e-10)
    h = 1e-5
    value = quick(loss)
    shifted = [value(*jax.tree.map(lambda a, d, s=s: a + s * h * d, at, along)) for s in (1, -1)]
    difference = (shifted[0] - shifted[1]) / (2 * h)
    dot = sum(np.vdot(g, d) for g, d in zip(*map(jax.tree.leaves, (grads, along)), strict=True))
    np.testing.assert_allclose([dot, forward], difference, rtol=1e-7, atol=1e-8)
    assert all(np.abs(g).max() > 0 for g in jax.tree.leaves(grads))


@pytest.mark.parametrize("batch", [(), (5,), (2, 3)])
@pytest.mark.parametrize("apart", [None, 4])
def test_products_of_narrow_layers_are_those_of_wide_ones(monkeypatch, batch, apart):
    x, h, W, U = (
        normal(i, *shape)
        for i, shape in enumerate([(*batch, INPUTS), (*batch, HIDDEN), (INPUTS, 12), (HIDDEN, 12)])
    )
    at = (x, h, W, U, normal(4, 12), apart and normal(5, apart))

    def loss(*at):
        return sum(jnp.sin((i + 1) * part).sum() for i, part in enumerate(gates(*at)))

    def slopes():
        reverse = jax.grad(loss, (0, 1, 2, 3, 4))
        forward = jax.jacfwd(loss, (1, 2))(*at)
        return gates(*at), reverse(*at), forward, jax.jacfwd(lambda W: reverse(x, h, W, *at[3:]))(W)

    narrow = quick(lambda: slopes())()
    monkeypatch.setattr(sim.rnn.cell, "SMALL", 0)
    wide = quick(lambda: slopes())()
    close(narrow, wide, 1e-11)
    sizes = [part.shape for part in wide[0]]
    assert sizes == [(*batch, n) for n in (12 - (apart or 0), apart or 0, apart or 0)]


@EACH
def test_float32_stays_and_is_the_same_network(cell):
    wide = weights(cell)
    narrow = jax.tree.map(lambda leaf: leaf.astype("float32"), wide)
    xs = signal(STEPS, INPUTS)
    carry, ys = run(cell.stepper, narrow, xs.astype("float32"))
    assert {leaf.dtype for leaf in jax.tree.leaves((carry, ys))} == {jnp.dtype("float32")}
    close(np.asarray(ys, float), run(cell.stepper, wide, xs)[1], 1e-5)
    for dtype, expected in (("float32", "float32"), (None, "float64")):
        make = partial(cell.params, inputs=3, hidden=4, dtype=dtype)
        made = jax.eval_shape(make, jax.random.key(0))
        assert {leaf.dtype for leaf in made} == {jnp.dtype(expected)}


@EACH
def test_a_random_start_neither_dies_nor_explodes(cell):
    @quick
    def begun(key, xs):
        p = cell.params(key, INPUTS, 16)
        return p, drive(cell.stepper, p, xs)[1]

    p, ys = begun(jax.random.key(3), signal(400, INPUTS))
    assert all(np.isfinite(leaf).all() for leaf in p)
    spread = np.std(ys[200:])
    assert 0.02 < spread < 10


@pytest.mark.parametrize("name", PARALLEL)
@settings(max_examples=5)
@given(seed=st.integers(0, 99))
def test_all_at_once_is_step_by_step(name, seed):
    p, xs = weights(CELLS[name]), signal(STEPS, BATCH, INPUTS, seed=seed)
    make = CELLS[name].stepper
    middle, _ = run(make, p, xs)
    close(at_once(PARALLEL[name], p, middle, xs), run(make, p, xs, middle))


at_once = quick(lambda parallel, *args: parallel(*args), static_argnums=0)


@pytest.mark.parametrize("name", PARALLEL)
def test_all_at_once_has_the_same_gradient_and_refuses_the_same(name):
    p, xs = weights(CELLS[name]), signal(STEPS, INPUTS)
    make, parallel = CELLS[name].stepper, PARALLEL[name]
    zero = rest(make, p)

    @quick
    def slopes(p, xs):
        both = (lambda p, xs: drive(make, p, xs)[1], lambda p, xs: parallel(p, zero, xs)[1])
        return [jax.grad(lambda p, xs, f=f: (f(p, xs) ** 3).sum(), (0, 1))(p, xs) for f in both]

    close(*slopes(p, xs), 1e-10)
    close(at_once(parallel, p, zero, xs[:0]), (zero, np.zeros((0, HIDDEN))))
    with pytest.raises(ValueError, match=r"x: expected \(\.\.\., 3\), the inputs of the cell"):
        parallel(p, zero, xs[:, :2])
    with pytest.raises(ValueError, match=r"xs: expected \(N, \.\.\., inputs\), got shape \(6,\)"):
        parallel(p, zero, xs[:, 0])
    with pytest.raises(ValueError, match=r"carry\.re: expected shape \(5, 4\), with the batch"):
        parallel(p, zero, signal(STEPS, BATCH, INPUTS))


@EACH
def test_mistakes_are_one_line(cell):
    p = weights(cell)
    stepper = cell.stepper(p)
    zero = stepper.init()
    first = jax.tree_util.keystr(jax.tree_util.tree_flatten_with_path(zero)[0][0][0])
    for call, line in [
        (
            lambda: stepper.step(zero, np.ones((32, 4))),
            "x: expected (..., 3), the inputs of the cell, got shape (32, 4)",
        ),
        (
            lambda: stepper.step(zero, 1.0),
            "x: expected (..., 3), the inputs of the cell, got shape ()",
        ),
        (
            lambda: stepper.step(zero, np.ones((32, 3))),
            f"carry{first}: expected shape (32, 4), with the batch axes of x, "
            "whose shape is (32, 3), got (4,)",
        ),
        (
            lambda: stepper.step(initialize_carry(stepper, 32), np.ones(3)),
            f"carry{first}: expected shape (4,), with the batch axes of x, "
            "whose shape is (3,), got (32, 4)",
        ),
        (
            lambda: stepper.step(zero, np.ones(3, "float32")),
            "x: expected float64, the dtype of the parameters, got float32",
        ),
        (lambda: stepper.step(zero, (np.ones(3),)), "x: expected one array (..., 3), got (*,)"),
        (lambda: stepper.step([zero, zero], np.ones(3)), "carry: expected the structure"),
        (
            lambda: stepper.init(jax.tree.map(lambda leaf: leaf[1:], zero)),
            f"carry{first}: expected (..., 4), got shape (3,)",
        ),
        (lambda: stepper.init("rest"), "carry: expected an array or a number, got str"),
        (lambda: stepper.init({"h": np.ones(4)}), "carry: expected the structure"),
        (lambda: cell.stepper(tuple(p)), f"params: expected {type(p).__module__}.Params, got"),
        (
            lambda: cell.stepper(p._replace(**{p._fields[-1]: np.ones(7)})).init(),
            f"params.{p._fields[-1]}: expected shape",
        ),
        (
            lambda: cell.stepper(p._replace(**{p._fields[-1]: p[-1].astype("float32")})).init(),
            f"params.{p._fields[-1]}: expected float64, as params.{p._fields[0]} has, got float32",
        ),
        (lambda: cell.params(jax.random.key(0), 0, 4), "inputs: expected an integer of at least 1"),
        (lambda: cell.params(jax.random.key(0), 3, 4.0), "hidden: expected an integer of at least"),
    ]:
        with pytest.raises(ValueError) as raised:
            call()
        said = str(raised.value)
        assert said.startswith(line) and "\n" not in said, said
