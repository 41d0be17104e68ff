"""What every model promises, held against each file of `sim.models`."""

import importlib
import pkgutil

import cf_units
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sim.models
from sim.models import chain, kepler, linear, lorenz, pendulum

MODULES = [
    module
    for info in pkgutil.iter_modules(sim.models.__path__)
    if hasattr(module := importlib.import_module(f"sim.models.{info.name}"), "model")
]
CASES = {module.__name__.rpartition(".")[2]: module.model() for module in MODULES} | {
    "chain_of_parts": chain.model(3, chain.Params([1, 2, 3], [0.1] * 4, [1.0, 2.0, 3.0, 0.0])),
    "linear_driven": linear.model(
        [[0, 1], [-1, -1]], [[0, 2], [1, 0]], [[1, 0], [0, 1], [1, 1]], [[0, 0], [1, 0], [0, 0]]
    ),
}
every_model = pytest.mark.parametrize("name", CASES)


def example_input(model, dtype=float):
    """A scalar for one input, an array for several, None for none."""
    values = [0.3 + 0.5 * i for i in range(len(model.inputs))]
    if len(values) < 2:
        return jnp.asarray(values[0], dtype) if values else None
    return jnp.asarray(values, dtype)


def cast(tree, dtype):
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), tree)


def test_the_walk_finds_every_model():
    found = {module.__name__.rpartition(".")[2] for module in MODULES}
    assert found >= {
        "cascaded_tanks",
        "chain",
        "duffing",
        "emps",
        "kepler",
        "linear",
        "lorenz",
        "pendulum",
        "silverbox",
    }
    for module in MODULES:
        name = module.__name__.rpartition(".")[2]
        assert module.model().name == name
        assert issubclass(module.Params, tuple) and issubclass(module.State, tuple)
        assert callable(getattr(module, name))


@every_model
def test_every_quantity_is_named_in_words_and_units(name):
    model = CASES[name]
    expected = {*model.initial._fields, *model.inputs}
    if model.output is not None:
        expected |= set(model.output(0.0, model.initial, example_input(model))._fields)
    assert set(model.quantities) == expected
    for quantity in model.quantities.values():
        cf_units.Unit(quantity.units)
        assert quantity.long_name.strip()


@every_model
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_derivative_is_shaped_as_the_state(name, dtype):
    model = CASES[name]
    state, u = cast(model.initial, dtype), example_input(model, dtype)
    for field in (model.field, cast(model.field, dtype)):
        derivative = jax.jit(field)(jnp.asarray(0.0, dtype), state, u)
        assert type(derivative) is type(state)
        for (at, new), old in zip(
            jax.tree_util.tree_leaves_with_path(derivative), jax.tree.leaves(state), strict=True
        ):
            assert (new.shape, new.dtype) == (old.shape, old.dtype), at
            assert jnp.isfinite(new).all(), at
    if model.output is not None:
        assert model.output(0.0, state, u).y.dtype == dtype


@every_model
def test_no_input_is_zero_input(name):
    model = CASES[name]
    if not model.inputs:
        return
    zero = jnp.zeros_like(example_input(model))
    for function in filter(None, (model.field, model.output)):
        jax.tree.map(
            np.testing.assert_array_equal,
            function(0.0, model.initial, None),
            function(0.0, model.initial, zero),
        )


@every_model
def test_parameters_batch_and_differentiate(name):
    model = CASES[name]
    field, u = cast(model.field, float), example_input(model)
    state = jax.tree.map(lambda x: x + 0.1, cast(model.initial, float))

    def loss(field):
        return sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(field(0.0, state, u)))

    backward, forward = jax.jit(jax.grad(loss))(field), jax.jit(jax.jacfwd(loss))(field)
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(backward))
    assert any((leaf != 0).any() for leaf in jax.tree.leaves(backward))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, 1e-9, 1e-12), backward, forward)

    fields = jax.tree.map(lambda p: jnp.stack([p, 1.5 * p]), field)
    np.testing.assert_allclose(
        jax.jit(jax.vmap(loss))(fields),
        [loss(field), loss(jax.tree.map(lambda p: 1.5 * p, field))],
        rtol=1e-12,
    )


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: pendulum.model({"length": 1.0}),
            "params: expected sim.models.pendulum.Params, got dict",
        ),
        (
            lambda: pendulum.model(lorenz.Params()),
            "params: expected sim.models.pendulum.Params, got sim.models.lorenz.Params",
        ),
        (
            lambda: pendulum.model(pendulum.Params(length="a")),
            "params.length: expected a number, got 'a'",
        ),
        (
            lambda: pendulum.model(pendulum.Params(mass=True)),
            "params.mass: expected a number, got True",
        ),
        (
            lambda: pendulum.model(initial=pendulum.State([1.0, 2.0], 0.0)),
            r"initial.angle: expected a number, got shape \(2,\)",
        ),
        (
            lambda: kepler.model(initial=kepler.State([1.0, 0.0, 0.0], [0.0, 1.0])),
            r"initial.position: expected an array of shape \(2,\), got shape \(3,\)",
        ),
        (lambda: chain.model(0), "n: expected an integer of at least 1, got 0"),
        (lambda: chain.model(2, params=1.0), "params: expected sim.models.chain.Params, got float"),
        (
            lambda: chain.model(2, chain.Params(stiffness=[1.0, 2.0])),
            r"params.stiffness: expected a number or an array of shape \(3,\), got shape \(2,\)",
        ),
        (
            lambda: chain.model(2, initial=chain.State(0.0, [0.0, 0.0])),
            r"initial.position: expected an array of shape \(2,\), got 0.0",
        ),
        (lambda: linear.model([1.0, 2.0]), r"A: expected a matrix, got shape \(2,\)"),
        (lambda: linear.model([[1.0, 2.0]]), r"A: expected shape \(1, 1\), got \(1, 2\)"),
        (lambda: linear.model([[1.0]], [[1], [2]]), r"B: expected shape \(1, 1\), got \(2, 1\)"),
        (lambda: linear.model(C=[[1.0]]), r"C: expected shape \(1, 2\), got \(1, 1\)"),
        (lambda: linear.model(D=[[1.0]]), "D: expected None, as B is None; got"),
        (lambda: linear.model([[1, 2], [3]]), r"A: expected a matrix, got \[\[1, 2\], \[3\]\]"),
        (lambda: linear.model(initial=[1.0]), r"initial.x: expected an array of shape \(2,\)"),
    ],
)
def test_mistakes_are_named(build, message):
    with pytest.raises(ValueError, match=message):
        build()
