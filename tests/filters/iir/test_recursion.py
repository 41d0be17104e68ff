"""The engine: which form is chosen, what blocks are, what a gradient keeps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from filters.iir import sosfilt
from filters.iir.recursion import blocks, choose_form, run
from filters.iir.sosfilt import sections_step
from tests.filters.derivatives import quick

SOS = np.array([[0.2, 0.1, 0.0, 1.0, -0.8, 0.3], [1.0, -0.5, 0.2, 1.0, 0.4, 0.6]])


def test_the_form_fits_the_shapes():
    def chosen(*shape, last=True, n=4):
        return choose_form(jnp.zeros(shape), n, last)

    assert chosen(2**20) == "block"
    assert chosen(256) == "scan"  # over before the blocks are made
    assert chosen(64, 1024) == "block"
    assert chosen(1024, 64, last=False) == "scan"  # channels side by side
    assert chosen(2**20, 2, last=False) == "block"
    assert chosen(5000, 10) == "scan"  # no two blocks
    assert chosen(2**20, n=0) == "scan"


def test_an_accelerator_gets_the_tree(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert choose_form(jnp.zeros(2**20), 4, True) == "associative"


def test_a_block_is_what_its_samples_do():
    rng = np.random.default_rng(0)
    z, x = rng.normal(size=4), rng.normal(size=5)
    b = blocks(sections_step, SOS, tuple(z), 5, float)
    s = tuple(jnp.asarray(z))
    y = []
    for sample in x:
        s, out = sections_step(SOS, s, sample)
        y.append(out)
    np.testing.assert_allclose(b.T @ x + b.O @ z, y, rtol=1e-13)
    np.testing.assert_allclose(b.A @ z + b.R @ x, s, rtol=1e-13)


def test_an_unknown_form_is_named():
    with pytest.raises(ValueError, match=r"form: expected one of \('scan', 'block'"):
        run(sections_step, SOS, (0.0,) * 4, jnp.zeros(10), "blocks")


@pytest.mark.parametrize(("form", "axis"), [("scan", 0), ("block", 0)])
def test_a_gradient_keeps_few_states(form, axis):
    """Of 12 states for each of N samples it may keep a fraction."""
    samples, sos = 2**12, jnp.asarray(np.tile(SOS, (3, 1)))

    def loss(sos, x):
        return jnp.sum(sosfilt(sos, x, axis=axis, form=form) ** 2)

    def kept(f, *args):
        return jax.jit(f).lower(*args).compile().memory_analysis().temp_size_in_bytes

    # The signal, what comes out and their cotangents are there in any case.
    assert kept(jax.grad(loss, (0, 1)), sos, jnp.ones(samples)) < 7.5 * 8 * samples


def test_forms_agree_in_float32_and_differentiate_in_both_modes():
    x = jnp.asarray(np.random.default_rng(1).normal(size=200), jnp.float32)
    sos = jnp.asarray(SOS, jnp.float32)

    def loss(form):
        return lambda sos, x: jnp.sum(jnp.sin(sosfilt(sos, x, form=form)))

    values = {}
    for form in ("scan", "block", "associative"):
        value, (by_sos, by_x) = quick(jax.value_and_grad(loss(form), (0, 1)))(sos, x)
        ones = jnp.ones_like(x), jnp.ones_like(sos)
        slope = quick(lambda sos, x, f=loss(form), v=ones[::-1]: jax.jvp(f, (sos, x), v)[1])(sos, x)
        assert by_sos.dtype == by_x.dtype == slope.dtype == jnp.float32
        np.testing.assert_allclose(slope, by_sos.sum() + by_x.sum(), rtol=2e-4)
        values[form] = value, by_sos, by_x
    for form in ("block", "associative"):
        for a, b in zip(values["scan"], values[form], strict=True):
            np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4)
