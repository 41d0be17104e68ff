"""A start from records with gaps: of what has none, or random, which is said."""

import jax
import numpy as np
import pytest

from experiments.identification import report
from experiments.learn.networks import state_space
from experiments.run import run
from sim.fit import n4sid

N = 100
U = np.random.default_rng(0).normal(size=(N, 1))
Y = np.stack([np.convolve(U[:, 0], 0.8 ** np.arange(k, 20))[:N] for k in range(2)], axis=1)
# Outputs that are sampled in turn have no row without a gap.
IN_TURN = np.where((np.arange(N)[:, None] + np.arange(2)) % 2, Y, np.nan)


def test_a_start_takes_the_stretches_between_gaps():
    """Of every record that has one; of the others nothing, and none is refused for its gaps."""
    gap = Y.copy()
    gap[60, 1] = np.nan
    records, network = [(U, IN_TURN), (U, gap)], state_space(2)
    found = network.start(jax.random.key(0), 1, 2, records)
    parts = [slice(0, 60), slice(61, N)]
    linear = n4sid([U[at] for at in parts], [Y[at] for at in parts], 2, stable=True)
    np.testing.assert_allclose(np.poly(found.A), np.poly(linear.A), rtol=1e-9)
    assert not network.warnings(records)
    assert not state_space(2, start="random").warnings(records[:1])


def test_a_start_without_a_stretch_is_random_and_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(report, "svg_figure", lambda *_: "")
    table = np.column_stack([0.1 * np.arange(N), U, IN_TURN])
    np.savetxt("r.csv", table, delimiter=",", header="time,u,a,b", comments="")
    argv = (
        "network=state_space network.hidden=[3] learn=least_squares learn.warmup=10 learn.steps=1"
    )
    code = run(
        ["task=learn", "data.path=r.csv", "data.output=[a,b]", "output.figure=null", *argv.split()]
    )
    said = "".join(capsys.readouterr())
    assert code == 0, said
    assert (
        "finding the stretches without a missing sample are too short for n4sid with 2 states"
        in said
    )


@pytest.mark.parametrize(("samples", "enough"), [(6, False), (7, True)])
def test_what_is_enough_is_what_n4sid_takes(samples, enough):
    """Three stretches of which none is enough alone."""
    stretches = [slice(at, at + samples) for at in (0, 30, 60)]
    record = np.full_like(Y, np.nan)
    for at in stretches:
        record[at] = Y[at]
    assert bool(state_space(2).warnings([(U, record)])) != enough
    if not enough:
        with pytest.raises(ValueError, match="y: expected at least"):
            n4sid([U[at] for at in stretches], [Y[at] for at in stretches], 2)
    assert np.isfinite(state_space(2).start(jax.random.key(0), 1, 2, [(U, record)]).A).all()
