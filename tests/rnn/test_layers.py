"""Layers together, around and in both directions: each equals what it is made of."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

from sim import Stepper, rollout
from sim.fit import Experiment
from sim.rnn import (
    Scaling,
    bidirectional,
    diagonal,
    elman,
    gru,
    initialize_carry,
    layer_norm_params,
    layer_normalised,
    layers,
    lstm,
    mlp_params,
    readout,
    residual,
    scaled,
    scaling,
    stack,
    state_space,
    state_space_params,
)
from tests.filters.derivatives import quick
from tests.rnn.zoo import CELLS, HIDDEN, INPUTS, STEPS, drive, normal, run, signal, weights

GRU = [weights(CELLS["gru"], HIDDEN, HIDDEN, seed) for seed in range(3)]
PLANT = state_space_params(jax.random.key(0), 1, 2, states=2)
BY = Scaling(*(jnp.ones(1) for _ in range(4)))
STACKED = jax.tree.map(lambda *leaves: np.stack(leaves), *GRU)
XS = signal(STEPS, HIDDEN)


def in_a_stack(params):
    return stack(gru, params)


def test_a_stack_is_its_layers_one_by_one():
    last, ys = run(in_a_stack, STACKED, XS)
    out = XS
    for i, params in enumerate(GRU):
        end, out = run(gru, params, out)
        np.testing.assert_allclose(last[i], end, rtol=1e-12)
    np.testing.assert_allclose(ys, out, rtol=1e-12)
    batch = run(in_a_stack, STACKED, np.stack([XS, -XS], axis=1))[1]
    np.testing.assert_allclose(batch[:, 0], ys, rtol=1e-12)


def mixed(params):
    first, second, third = params
    return layers(elman(first), lstm(second), diagonal(third))


def test_layers_of_any_kind_and_width_are_one_after_the_other():
    kinds, widths = (elman, lstm, diagonal), (INPUTS, 5, 2, 4)
    sizes = zip(kinds, pairwise(widths), strict=True)
    params = [weights(CELLS[kind.__name__], *size) for kind, size in sizes]
    out = xs = signal(STEPS, INPUTS)
    last, ys = run(mixed, params, xs)
    for kind, p, end in zip(kinds, params, last, strict=True):
        expected, out = run(kind, p, out)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-11), end, expected)
    np.testing.assert_allclose(ys, out, rtol=1e-11)
    begun = quick(lambda p, carries: mixed(p).init(carries))(params, last)
    jax.tree.map(np.testing.assert_array_equal, begun, last)


def block(p):
    cell, norm, W, b = p
    return readout(residual(layer_normalised(gru(cell), norm)), W, b)


def test_a_block_is_its_equation():
    ready = layer_norm_params(HIDDEN)
    norm = jax.tree.map(lambda leaf: np.asarray(leaf) + normal(3, HIDDEN), ready)
    W, b = normal(4, HIDDEN, 2), normal(5, 2)
    _, ys = run(block, (GRU[0], norm, W, b), XS)
    centred = XS - XS.mean(1, keepdims=True)
    normed = centred / np.sqrt(XS.var(1, keepdims=True) + 1e-5)
    through = np.asarray(run(gru, GRU[0], norm.scale * normed + norm.shift)[1])
    np.testing.assert_allclose(ys, (XS + through) @ W + b, rtol=1e-12)
    # Blocks stack as cells do, and gradients stay finite at a constant input.
    p = (GRU[0], norm, np.eye(HIDDEN), np.zeros(HIDDEN))
    deep = jax.tree.map(lambda leaf: np.stack([leaf, leaf]), p)
    once = run(block, p, run(block, p, XS)[1])[1]
    np.testing.assert_allclose(run(deep_block, deep, XS)[1], once, rtol=1e-11)
    flat = np.ones_like(XS)
    grad = quick(jax.grad(lambda p: drive(deep_block, p, flat)[1].sum()))(deep)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(grad))


def deep_block(params):
    return stack(block, params)


def test_both_directions_are_one_network_from_each_end():
    both = quick(lambda p, q, xs: bidirectional(gru(p), gru(q), xs, checkpoint_every=4))
    xs = np.stack([XS, 2 * XS], axis=1)
    ends, ys = both(GRU[0], GRU[1], xs)
    there, back = run(gru, GRU[0], xs), run(gru, GRU[1], xs[::-1])
    np.testing.assert_allclose(ys, np.concatenate([there[1], back[1][::-1]], -1), rtol=1e-12)
    np.testing.assert_allclose(ends, [there[0], back[0]], rtol=1e-12)
    go_on = quick(lambda carries: bidirectional(gru(GRU[0]), gru(GRU[1]), xs, carries)[1])
    np.testing.assert_allclose(go_on(ends)[0, :, :HIDDEN], run(gru, GRU[0], xs, ends[0])[1][0])
    assert not np.allclose(ys[0], ys[-1])


def test_both_directions_of_a_padded_batch_are_those_of_each_record_alone():
    """Its padding, here NaN, reaches neither ys nor the carries nor the gradients."""
    lengths, params = (
        np.array([STEPS, 4, 2], "int32"),
        (GRU[0], weights(CELLS["lstm"], HIDDEN, HIDDEN)),
    )
    padded = np.stack([XS] * 3, axis=1)
    padded[np.arange(STEPS)[:, None] >= lengths] = np.nan

    def both(params, xs, lengths=None):
        return bidirectional(gru(params[0]), lstm(params[1]), xs, lengths=lengths)

    (there, back), ys = quick(both)(params, padded, lengths)
    slope = quick(jax.grad(lambda *of: (both(*of)[1] ** 2).sum()))
    total = []
    for i, n in enumerate(lengths):
        ends, alone = both(params, XS[:n])
        np.testing.assert_allclose(ys[:n, i], alone, rtol=1e-12)
        assert (ys[n:, i] == 0).all()
        np.testing.assert_allclose(there[i], ends[0], rtol=1e-12)
        np.testing.assert_allclose(back.c[i], ends[1].c, rtol=1e-12)
        total.append(slope(params, XS[:n]))
    together = slope(params, padded, lengths)
    expected = jax.tree.map(lambda *each: sum(each), *total)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9), together, expected)


def test_initialize_carry_repeats_rest_for_a_batch_and_tries_the_step():
    stepper = layers(gru(GRU[0]), lstm(weights(CELLS["lstm"], HIDDEN, 2)))
    h, (cell_h, c) = initialize_carry(stepper, (3, 2), x=np.zeros((3, 2, HIDDEN)))
    assert [h.shape, cell_h.shape, c.shape] == [(3, 2, HIDDEN), (3, 2, 2), (3, 2, 2)]
    assert initialize_carry(stepper, 5)[0].shape == (5, HIDDEN)
    # A start that was learned, and a counter without axes.
    learned = Stepper(lambda: {"h": jnp.arange(2.0), "k": 0}, Partial(lambda c, x: (c, x)))
    carry = initialize_carry(learned, 3)
    assert carry["h"].tolist() == [[0.0, 1.0]] * 3 and carry["k"].shape == ()
    grows = Stepper(lambda: {"h": jnp.zeros(2)}, lambda c, x: ({"h": jnp.append(c["h"], x)}, x))
    with pytest.raises(ValueError, match=r"carry\['h'\]: expected float64\[2\], got float64\[3\]"):
        initialize_carry(grows, x=1.0)


def test_mistakes_are_one_line():
    one, wide = gru(GRU[0]), state_space(PLANT)
    uneven = STACKED._replace(b=STACKED.b[:2])
    block = residual(gru(weights(CELLS["gru"])))
    pair = (jnp.zeros(HIDDEN), jnp.zeros(HIDDEN))
    for call, line in [
        (
            lambda: stack(gru, uneven),
            "params.b: expected (3, ...), one for each layer, got shape (2, 12)",
        ),
        (
            lambda: stack(gru, ()),
            "params: expected a leading axis, one for each layer, got shape ()",
        ),
        (lambda: stack(STACKED, gru), "cell: expected a function, got Params"),
        (
            lambda: stack(gru, STACKED).init(pair),
            "carries: expected a tuple of 3, one for each layer",
        ),
        (
            lambda: stack(gru, STACKED).step(pair, XS[0]),
            "carries: expected a tuple of 3, one for each layer",
        ),
        (
            lambda: scaled(wide, BY).step(wide.init(), XS[0]),
            "u: expected (..., 1), as the scaling has, got shape (4,)",
        ),
        (
            lambda: scaled(wide, BY).step(wide.init(), XS[0, :1]),
            "y: expected (..., 1), as the scaling has, got shape (2,)",
        ),
        (
            lambda: scaled(wide, BY).step(wide.init(), None),
            "u: expected (..., 1), as the scaling has, got None",
        ),
        (
            lambda: scaled(wide, BY).step(wide.init(), np.ones(1, int)),
            "u: expected floating-point numbers, got int64",
        ),
        (
            lambda: scaling(Experiment(np.ones((3, 1)), np.array([[1.0], [np.inf], [np.nan]]))),
            "y: expected finite numbers, or NaN where one is missing, got infinity",
        ),
        (
            lambda: scaling(
                Experiment(np.array([[1, 2], [1, np.nan]]) * [1, np.nan], np.ones((2, 1)))
            ),
            "xs: expected numbers, got NaN only in column 1",
        ),
        (
            lambda: state_space(PLANT._replace(b=jnp.ones(1))).init(),
            "params.b: expected shape (2,), got (1,)",
        ),
        (
            lambda: state_space(PLANT._replace(C=jnp.ones((3, 2)))).init(),
            "params.D: expected shape (3, 1), got (2, 1)",
        ),
        (
            lambda: state_space(PLANT._replace(net=mlp_params(jax.random.key(0), (3, 5)))).init(),
            "params.net: expected 3 inputs and 4 outputs, got 3 and 5",
        ),
        (lambda: layers(), "cascade: expected at least one stepper, got none"),
        (lambda: layers(one, GRU[0]), "steppers[1]: expected a Stepper, got Params"),
        (
            lambda: block.step(jnp.zeros(HIDDEN), XS[0, :INPUTS]),
            "residual: expected a layer that keeps float64[3], got float64[4]",
        ),
        (lambda: layer_normalised(one, GRU[0]), "params: expected sim.rnn.around.LayerNorm, got"),
        (
            lambda: layer_normalised(one, layer_norm_params(3)).step(one.init(), XS[0]),
            "x: expected (..., 3), the width of the norm, got shape (4,)",
        ),
        (
            lambda: readout(one, np.ones((4, 2)), np.ones(1)),
            "W, b: expected shapes (hidden, outputs) and (outputs,), got (4, 2) and (1,)",
        ),
        (
            lambda: readout(one, np.ones((3, 2)), np.ones(2)).step(one.init(), XS[0]),
            "W: expected (4, outputs), the width of the layer, got (3, 2)",
        ),
        (
            lambda: bidirectional(one, one, XS[0]),
            "xs: expected one array (N, ..., inputs), got shape (4,)",
        ),
        (lambda: bidirectional(one, one, XS, one.init()), "carries: expected a pair, got"),
        (
            lambda: bidirectional(one, one, XS, lengths=[3]),
            "lengths: expected whole numbers of shape (), the batch axes of xs, got int64[1]",
        ),
        (
            lambda: bidirectional(one, one, XS[:, None], lengths=[9]),
            "lengths: expected numbers from 0 to 6, got 9",
        ),
        (lambda: initialize_carry(one, 0), "batch: expected an integer of at least 1, got 0"),
        (lambda: initialize_carry(gru), "stepper: expected a Stepper, got function"),
        (
            lambda: initialize_carry(one, 2, x=XS[0]),
            "carry: expected shape (4,), with the batch axes",
        ),
    ]:
        with pytest.raises(ValueError) as raised:
            call()
        said = str(raised.value)
        assert said.startswith(line) and "\n" not in said, said


def test_the_checkpointed_gradient_of_a_stack_is_the_plain_one():
    @quick
    def slopes(params):
        def loss(params, every):
            stepper = in_a_stack(params)
            return (rollout(stepper.step, stepper.init(), XS, checkpoint_every=every)[1] ** 2).sum()

        return jax.grad(loss)(params, None), jax.grad(loss)(params, 4)

    plain, kept = slopes(STACKED)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-13), plain, kept)
