"""`rollout` is `lax.scan` with named mistakes: against a Python loop, in every mode."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.flatten_util import ravel_pytree
from jax.tree_util import Partial

from sim import Stepper, cascade, repeat, rollout


def mixing(carry, x):
    """A nonlinear step over nested trees, in which every leaf touches every other."""
    a = jnp.sin(carry["a"]) + 0.1 * jnp.sum(carry["b"][0])
    b = carry["b"][0] * 0.9 + jnp.cos(a[0])
    if x is not None:
        a = a + sum(jnp.sum(leaf) for leaf in jax.tree.leaves(x))
    return {"a": a, "b": (b, carry["b"][1] + 1)}, (a, {"b": b * 2})


def loop(step, carry, xs, length, reverse=False):
    ys = []
    for k in reversed(range(length)) if reverse else range(length):
        carry, y = step(carry, jax.tree.map(lambda leaf, k=k: leaf[k], xs))
        ys.append(y)
    ys = ys[::-1] if reverse else ys
    return carry, jax.tree.map(lambda *leaves: jnp.stack(leaves), *ys)


def assert_same(a, b, rtol=1e-14):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=rtol, atol=1e-15), a, b)


def assert_bits(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


CARRY = {"a": jnp.linspace(0.1, 0.5, 3), "b": (jnp.ones((2, 2)) * 0.3, jnp.asarray(0))}

shapes = st.lists(st.integers(1, 2), max_size=2).map(tuple)
trees = st.recursive(
    shapes,
    lambda inner: (
        st.tuples(inner, inner) | st.dictionaries(st.sampled_from("pqr"), inner, max_size=2)
    ),
    max_leaves=3,
)


def draw_xs(tree, length, seed):
    rng = np.random.default_rng(seed)
    is_shape = lambda t: isinstance(t, tuple) and all(isinstance(n, int) for n in t)  # noqa: E731
    return jax.tree.map(lambda s: rng.normal(size=(length, *s)), tree, is_leaf=is_shape)


@settings(max_examples=15, deadline=None)
@given(tree=trees, length=st.integers(1, 9), reverse=st.booleans(), seed=st.integers(0, 99))
def test_equals_a_python_loop(tree, length, reverse, seed):
    xs = draw_xs(tree, length, seed)
    got = rollout(mixing, CARRY, xs, length=length, reverse=reverse)
    assert_same(got, loop(mixing, CARRY, xs, length, reverse))


@settings(max_examples=15, deadline=None)
@given(
    length=st.integers(2, 12),
    cut=st.floats(0, 1),
    reverse=st.booleans(),
    driven=st.booleans(),
    seed=st.integers(0, 99),
)
def test_chunks_joined_equal_the_whole_bit_for_bit(length, cut, reverse, driven, seed):
    xs = np.random.default_rng(seed).normal(size=(length, 2)) if driven else None
    cut = 1 + int(cut * (length - 2))
    run = jax.jit(
        lambda carry, xs, n: rollout(mixing, carry, xs, length=n, reverse=reverse), static_argnums=2
    )
    whole = run(CARRY, xs, length)
    parts = [(slice(0, cut), cut), (slice(cut, length), length - cut)]
    carry, pieces = CARRY, []
    for part, n in parts[::-1] if reverse else parts:
        carry, ys = run(carry, None if xs is None else xs[part], n)
        pieces.append(ys)
    joined = jax.tree.map(
        lambda a, b: np.concatenate([a, b]), *(pieces[::-1] if reverse else pieces)
    )
    assert_bits(whole, (carry, joined))


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("every", [1, 3, 4, 12, 50])
def test_checkpointing_changes_nothing_but_memory(every, reverse):
    xs = jnp.linspace(-1, 1, 24).reshape(12, 2)
    plain = rollout(mixing, CARRY, xs, reverse=reverse)
    kept = rollout(mixing, CARRY, xs, reverse=reverse, checkpoint_every=every)
    assert_same(plain, kept)

    def loss(xs, **options):
        carry, ys = rollout(mixing, CARRY, xs, reverse=reverse, **options)
        return jnp.sum(ys[0] ** 2) + jnp.sum(carry["b"][0])

    expected = jax.grad(loss)(xs)
    np.testing.assert_allclose(
        jax.grad(lambda xs: loss(xs, checkpoint_every=every))(xs), expected, rtol=1e-12
    )


def test_checkpoints_bound_the_memory_of_a_gradient():
    def memory(every):
        def loss(x):
            return rollout(
                lambda c, _: (jnp.sin(c) * x, None),
                jnp.ones(64),
                length=4096,
                checkpoint_every=every,
            )[0].sum()

        compiled = jax.jit(jax.grad(loss)).lower(0.9).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    whole, segments = memory(None), memory(64)
    assert whole > 4096 * 64 * 8
    assert segments < whole / 10


@pytest.mark.parametrize("n", [1, 64])
def test_a_gradient_stores_the_carries_and_nothing_from_inside_a_step(n):
    # Ten sines would each leave a cosine behind; a carry is kept once per emission.
    def loss(x):
        def step(c, _):
            for _ in range(10):
                c = jnp.sin(x * c)
            return c, None

        return rollout(repeat(step, n), jnp.ones(64), length=4096 // n)[0].sum()

    compiled = jax.jit(jax.grad(loss)).lower(0.9).compile()
    carries = (4096 // n + (n if n > 1 else 0)) * 64 * 8
    assert compiled.memory_analysis().temp_size_in_bytes < 2 * carries


@pytest.mark.parametrize("terms, products", [(127, 4), (128, 3)])
def test_a_gradient_keeps_large_products_instead_of_making_them_again(terms, products):
    # One forward, one for the slope of the state, one for that of the matrix; and one again.
    def loss(x):
        return rollout(lambda c, _: (jnp.sin(c @ x), None), jnp.ones((2, terms)), length=3)[0].sum()

    lines = str(jax.make_jaxpr(jax.grad(loss))(jnp.eye(terms)))
    assert lines.count("dot_general[") == products


def test_checkpoints_bound_the_memory_of_large_products_too():
    def memory(every):
        def loss(x):
            return rollout(
                lambda c, _: (jnp.sin(c @ x), None),
                jnp.ones(128),
                length=4096,
                checkpoint_every=every,
            )[0].sum()

        compiled = jax.jit(jax.grad(loss)).lower(jnp.eye(128)).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    assert memory(64) < memory(None) / 5


@pytest.mark.parametrize("unroll", [2, 5, True])
def test_unroll_changes_nothing(unroll):
    xs = jnp.linspace(-1, 1, 7)
    assert_same(rollout(mixing, CARRY, xs, unroll=unroll), rollout(mixing, CARRY, xs))


def relax(theta, c, x):
    c = c + theta["rate"] * (jnp.tanh(theta["gain"] * x) - c)
    return c, c**2


def loss(theta, c0, xs):
    carry, ys = rollout(Partial(relax, theta), c0, xs)
    return jnp.sum(ys) + carry


THETA = {"rate": jnp.asarray(0.3), "gain": jnp.asarray(1.7)}
XS = jnp.linspace(-1.0, 2.0, 11)


def test_gradients_of_parameters_carry_and_inputs():
    args = (THETA, jnp.asarray(0.2), XS)
    reverse = jax.jit(jax.grad(loss, argnums=(0, 1, 2)))(*args)
    forward = jax.jit(jax.jacfwd(loss, argnums=(0, 1, 2)))(*args)
    assert_same(reverse, forward, rtol=1e-12)
    h, value = 1e-6, jax.jit(loss)
    flat, unravel = ravel_pytree(args)
    differences = [
        (value(*unravel(flat + h * e)) - value(*unravel(flat - h * e))) / (2 * h)
        for e in jnp.eye(len(flat))
    ]
    gradient = ravel_pytree(reverse)[0]
    np.testing.assert_allclose(gradient, differences, rtol=1e-7, atol=1e-9)
    hessian = jax.hessian(loss, argnums=1)(*args)
    assert np.isfinite(hessian)


def test_vmap_over_carries_inputs_and_parameters():
    c0 = jnp.linspace(0, 1, 4)
    xs = jnp.stack([XS * k for k in range(1, 5)])
    thetas = {"rate": jnp.linspace(0.1, 0.4, 4), "gain": jnp.ones(4)}
    run = jax.jit(lambda theta, c, xs: rollout(Partial(relax, theta), c, xs)[1])
    for axes in [(None, 0, None), (None, None, 0), (0, None, None), (0, 0, 0)]:
        pick = [
            jax.tree.map(lambda leaf, a=a: leaf if a is not None else leaf[1], tree)
            for a, tree in zip(axes, (thetas, c0, xs), strict=True)
        ]
        batch = jax.vmap(run, axes)(*pick)
        for i in range(4):
            one = [
                jax.tree.map(lambda leaf, a=a, i=i: leaf if a is None else leaf[i], tree)
                for a, tree in zip(axes, pick, strict=True)
            ]
            np.testing.assert_allclose(batch[i], run(*one), rtol=1e-13)


def test_a_python_number_takes_the_dtype_of_the_step():
    xs = jnp.ones(3, jnp.float32)
    carry, ys = rollout(lambda c, x: (c + x, c), 0.0, xs)
    assert carry.dtype == ys.dtype == jnp.float32
    assert rollout(lambda c, x: (c + x, c), 0, xs)[0].dtype == jnp.float32
    assert rollout(lambda c, x: (c + 1, c), 0, length=3)[1].tolist() == [0, 1, 2]
    # One that only hears of the dtype from another.
    last, _ = rollout(lambda c, x: ((c[1], x + 1), None), (0.0, 0.0), xs)
    assert last[0].dtype == last[1].dtype == jnp.float32


def test_random_keys_are_carries_and_inputs():
    def draw(key, x):
        key, one = jax.random.split(key)
        return key, jax.random.normal(one) + jax.random.normal(x)

    key, xs = jax.random.key(0), jax.random.split(jax.random.key(1), 5)
    assert_same(rollout(draw, key, xs)[1], loop(draw, key, xs, 5)[1])
    assert_same(rollout(draw, key, xs, checkpoint_every=2)[1], loop(draw, key, xs, 5)[1])


def test_a_step_is_traced_once():
    traces = []

    def step(carry, x):
        traces.append(None)
        return carry + x, carry

    for _ in range(3):  # outside jit as well
        rollout(step, jnp.zeros(()), jnp.ones(4))
    assert len(traces) == 1


def test_no_steps_at_all():
    carry, ys = rollout(mixing, CARRY, jnp.ones((0, 2)))
    assert_same(carry, CARRY)
    assert ys[0].shape == (0, 3)


def keep(carry, x):
    return carry, carry


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: rollout(keep, 0.0), r"length: expected a number of steps, because xs is None"),
        (lambda: rollout(keep, 0.0, {}), r"length: expected a number of steps"),
        (
            lambda: rollout(keep, 0.0, length=-1),
            r"length: expected an integer of at least 0, got -1",
        ),
        (lambda: rollout(keep, 0.0, length=2.0), r"length: expected an integer.*got 2.0"),
        (
            lambda: rollout(keep, 0.0, np.ones(3), length=4),
            r"length: expected 3, the leading axis of xs, got 4",
        ),
        (
            lambda: rollout(keep, 0.0, {"u": np.ones(3), "v": [np.ones((4, 2))]}),
            r"xs: expected leading axes of one length, got: xs\['u'\] has 3, xs\['v'\]\[0\] has 4",
        ),
        (
            lambda: rollout(keep, 0.0, (np.ones(3), 1.0)),
            r"xs\[1\]: expected a leading axis \(time\), got a scalar",
        ),
        (
            lambda: rollout(
                lambda c, x: ({"p": c["p"][:1], "q": c["q"]}, x),
                {"p": np.ones(2), "q": 1},
                length=1,
            ),
            r"step: the carry changes; carry\['p'\]: expected float64\[2\], got float64\[1\]",
        ),
        (
            lambda: rollout(lambda c, x: ((c[0], c[0]), x), (np.ones(2), np.arange(2)), length=1),
            r"carry\[1\]: expected int64\[2\], got float64\[2\]",
        ),
        (
            lambda: rollout(lambda c, x: ([c], x), np.ones(2), length=1),
            r"keep the structure of the carry, \*, got \[\*\]",
        ),
        (
            lambda: rollout(lambda c, x: c, np.ones(2), length=1),
            r"step: expected it to return the pair \(carry, y\)",
        ),
        (
            lambda: rollout(keep, {"name": "x"}, length=1),
            r"carry\['name'\]: expected an array or a number, got str",
        ),
        (
            lambda: rollout(keep, 0.0, length=1, unroll=0),
            r"unroll: expected an integer of at least 1, got 0",
        ),
        (
            lambda: rollout(keep, 0.0, length=1, checkpoint_every=0),
            r"checkpoint_every: expected an integer of at least 1",
        ),
        (
            lambda: rollout(Stepper(keep, keep), 0.0, length=1),
            r"step: expected a function, got Stepper",
        ),
        (lambda: repeat(3, keep), r"step: expected a function, got int"),
        (
            lambda: rollout(
                repeat(lambda c, x: ({"p": c["p"][:1]}, x), 2), {"p": np.ones(2)}, length=1
            ),
            r"step: the carry changes; carry\['p'\]: expected float64\[2\], got float64\[1\]",
        ),
        (
            lambda: rollout(repeat(lambda c, x: c, 2), np.ones(2), length=1),
            r"step: expected it to return the pair",
        ),
        (
            lambda: cascade(Stepper(keep, keep), keep),
            r"steppers\[1\]: expected a Stepper, got function",
        ),
        (
            lambda: rollout(cascade(Stepper(keep, lambda c, x: c)).step, (np.ones(2),), length=1),
            r"step: expected it to return the pair",
        ),
        (lambda: repeat(keep, 0), r"n: expected an integer of at least 1, got 0"),
        (lambda: cascade(), r"cascade: expected at least one stepper, got none"),
        (
            lambda: cascade(Stepper(lambda c: c, keep)).init(1.0, 2.0),
            r"expected one argument for each of 1 steppers, got 2",
        ),
    ],
)
@pytest.mark.parametrize("jitted", [False, True])
def test_mistakes_are_named(call, words, jitted):
    with pytest.raises(ValueError, match=words):
        jax.jit(call)() if jitted else call()


@pytest.mark.parametrize("n", [1, 2, 5])
def test_repeat_is_every_nth_of_the_whole_bit_for_bit(n):
    whole = jax.jit(lambda: rollout(mixing, CARRY, length=20))()
    saved = jax.jit(lambda: rollout(repeat(mixing, n), CARRY, length=20 // n))()
    assert_bits(saved, (whole[0], jax.tree.map(lambda y: y[n - 1 :: n], whole[1])))


def test_repeat_holds_its_input_and_differentiates():
    def total(xs):
        return jnp.sum(rollout(repeat(lambda c, x: (c + x, c), 3), 0.0, xs)[0])

    assert jax.grad(total)(jnp.ones(4)).tolist() == [3.0] * 4
    assert jax.jacfwd(total)(jnp.ones(4)).tolist() == [3.0] * 4


def test_a_cascade_is_the_parts_one_after_the_other():
    gain = Stepper(lambda: None, lambda c, x: (c, 2.0 * x))
    lag = Stepper(lambda c: c, Partial(relax, THETA))
    both = cascade(lag, Stepper(lambda _: (), gain.step), lag)
    carry = both.init(jnp.asarray(0.2), None, jnp.asarray(0.5))
    last, ys = rollout(both.step, carry, XS)
    first = rollout(lag.step, jnp.asarray(0.2), XS)
    second = rollout(lag.step, jnp.asarray(0.5), 2.0 * first[1])
    assert_same(ys, second[1])
    assert_same((last[0], last[2]), (first[0], second[0]))
    slopes = jax.grad(lambda stepper: rollout(stepper.step, carry, XS)[1].sum())(both)
    assert len(jax.tree.leaves(slopes)) == 2 * len(THETA)
