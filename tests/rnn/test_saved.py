"""Networks on disk: what comes back, what is refused, and that a file is always whole."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sim import arrays, files
from sim.rnn import Scaling, StateScaling, gru_params, load, save

PARAMS = {
    "gru": gru_params(jax.random.key(0), 2, 3),
    "net": ((np.array([[np.nan, -0.0], [np.inf, 5e-324]]), np.ones(2, "float32")),),
    "gain": np.float64(0.1),
    "none": np.zeros((3, 0)),
    "count": np.int32(7),
}


def bits(tree):
    return [(leaf.dtype, leaf.shape, np.asarray(leaf).tobytes()) for leaf in jax.tree.leaves(tree)]


def test_what_is_kept_comes_back_bit_for_bit(tmp_path):
    path = tmp_path / "network.nc"
    scaling = Scaling(*(jnp.arange(n) / 3 for n in (2.0, 2.0, 1.0, 1.0)))
    config = {"cell": "gru", "hidden": [3], "rate": 0.1, "none": None}
    save(path, PARAMS, scaling=scaling, config=config)
    like = jax.tree.map(lambda x: jax.ShapeDtypeStruct(np.shape(x), x.dtype), PARAMS)
    found = load(path, like)
    assert bits(found.params) == bits(PARAMS) and bits(found.scaling) == bits(scaling)
    assert jax.tree.structure(found.params) == jax.tree.structure(PARAMS)
    assert type(found.scaling) is Scaling and found.config == config
    assert found.versions["jax"] == jax.__version__
    # Without anything like it: by name.
    assert sorted(load(path).params) == sorted(
        ["count", "gain", "gru.W", "gru.U", "gru.b", "gru.b_n", "net.0.0", "net.0.1", "none"]
    )


def test_other_scalings_and_a_lone_array_and_nothing_else(tmp_path):
    states = StateScaling(*(np.ones(n) for n in (2, 2, 0, 0, 2)))
    save(tmp_path / "a.nc", np.arange(3.0), scaling=states)
    found = load(tmp_path / "a.nc", np.zeros(3))
    assert found.params.tolist() == [0, 1, 2] and found.config is None
    assert bits(found.scaling) == bits(states) and type(found.scaling) is StateScaling
    save(tmp_path / "a.nc", np.arange(2.0))  # in its place
    assert load(tmp_path / "a.nc").scaling is None and load(tmp_path / "a.nc").params[""].size == 2


def test_weights_of_another_architecture_are_named(tmp_path):
    path = tmp_path / "gru.nc"
    save(path, {"gru": gru_params(jax.random.key(0), 1, 8)})

    def like(hidden, dtype=None):
        return {"gru": gru_params(jax.random.key(0), 1, hidden, dtype=dtype)}

    for other, line in [
        (like(4), f"params.gru.W: expected float64[1,12], got float64[1,24] in {path}"),
        (like(8, "float32"), f"params.gru.W: expected float32[1,24], got float64[1,24] in {path}"),
        ({**like(8), "b": np.ones(2)}, f"params.b: expected float64[2], got none in {path}"),
        ({"gru": like(8)["gru"]._asdict() | {}}, None),
        ({"gru": like(8)["gru"][:3]}, "params.gru.0: expected float64[1,24], got none"),
        (like(8)["gru"], "params.W: expected float64[1,24], got none"),
    ]:
        if line is None:
            assert load(path, other).params.keys() == {"gru"}
            continue
        with pytest.raises(ValueError) as raised:
            load(path, other)
        assert str(raised.value).startswith(line) and "\n" not in str(raised.value)


def test_numbers_are_not_shortened_in_silence(tmp_path):
    path = tmp_path / "network.nc"
    save(path, {"W": np.ones(2), "b": np.ones(2, "float32")})
    with jax.enable_x64(False), pytest.raises(ValueError) as raised:
        load(path)
    assert str(raised.value).startswith("params.W: expected jax_enable_x64, as it is float64 in")


def test_what_cannot_be_kept_is_said_and_leaves_no_file(tmp_path):
    path = tmp_path / "network.nc"
    for call, line in [
        (lambda: save(path, {"a": np.ones(2) * 1j}), "params.a: expected real numbers of 32 or 64"),
        (
            lambda: save(path, {"a": True}),
            "params.a: expected real numbers of 32 or 64 bits, got bool",
        ),
        (lambda: save(path, {"a/b": 1.0}), "params.a/b: expected a name of its own, without '/'"),
        (
            lambda: save(path, {"a.b": 1.0, "a": {"b": 2.0}}),
            "params.a.b: expected a name of its own",
        ),
        (
            lambda: save(path, 1.0, scaling=(1.0, 2.0)),
            "scaling: expected a Scaling or a StateScaling, got tuple",
        ),
        (lambda: save(path, 1.0, config={"f": json}), "config: expected what JSON can hold, got"),
        (
            lambda: save(path, 1.0, config={"f": float("nan")}),
            "config: expected what JSON can hold",
        ),
    ]:
        with pytest.raises(ValueError) as raised:
            call()
        assert str(raised.value).startswith(line) and "\n" not in str(raised.value)
    assert not list(tmp_path.iterdir())


def test_a_write_that_fails_leaves_the_file_before_it(tmp_path, monkeypatch):
    path = tmp_path / "network.nc"
    save(path, np.ones(2))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="network.nc: cannot write the file: No space left"):
        save(path, np.zeros(2))
    assert load(path).params[""].tolist() == [1, 1]
    assert [file.name for file in tmp_path.iterdir()] == ["network.nc"]


def test_a_file_that_is_not_there_or_not_of_a_network(tmp_path):
    with pytest.raises(OSError, match="a.nc: there is no such file"):
        load(tmp_path / "a.nc")
    (tmp_path / "b.nc").write_text("not NetCDF")
    with pytest.raises(OSError, match="b.nc: cannot read the file"):
        load(tmp_path / "b.nc")
    arrays.write(tmp_path / "c.nc", {"x": np.ones(1)}, {})
    with pytest.raises(OSError, match="c.nc: expected a network that `save` wrote"):
        load(tmp_path / "c.nc")
    with pytest.raises(OSError, match="d/a.nc: cannot write the file"):
        save(tmp_path / "d" / "a.nc", np.ones(1))
