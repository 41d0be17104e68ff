"""The figure keeps every peak of a run of any length, in bounded memory."""

import numpy as np
import pytest

from experiments.plots.timeseries import MAX_BINS, PHASE_POINTS, TimeSeriesPlot, choose_phase_plane
from sim.trajectory import trajectory


def dataset(first, count, masses=0):
    k = np.arange(first, first + count)
    ys = {"x": np.sin(0.1 * k), "v": np.where(k == 77_777, 9.0, np.cos(0.1 * k))}
    if masses:
        ys = {"q": np.sin(0.01 * k[:, None] + np.arange(masses))}
    return trajectory(ys, dt=0.1, first=first)


def test_chunks_give_the_picture_of_the_whole_and_keep_the_peak():
    records = 100_003
    whole = TimeSeriesPlot(records, ("x", "v"))
    whole.add(0, dataset(0, records))
    parts = TimeSeriesPlot(records, ("x", "v"))
    for first in (0, 1, 40_000, 99_000):
        parts.add(first, dataset(first, {0: 1, 1: 39_999, 40_000: 59_000, 99_000: 1003}[first]))
    for name in ("time", "x", "v"):
        assert len(parts.low[name]) <= MAX_BINS
        np.testing.assert_array_equal(parts.low[name], whole.low[name])
        np.testing.assert_array_equal(parts.high[name], whole.high[name])
    assert parts.high["v"].max() == 9.0
    np.testing.assert_array_equal(parts.tail, whole.tail)
    assert parts.tail.shape == (PHASE_POINTS, 2)


@pytest.mark.parametrize(("masses", "seen"), [(0, 1), (2, 50), (64, 1), (1000, 50)])
def test_a_figure_is_drawn_of_few_or_many_and_of_a_part(tmp_path, masses, seen):
    picture = TimeSeriesPlot(100, ("x", "v") if not masses else None)
    picture.add(0, dataset(0, seen, masses))
    picture.draw(tmp_path / "figure.png", "a title")
    assert (tmp_path / "figure.png").stat().st_size > 5000


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        (("position[2]", "velocity"), "position has 2 components"),
        (("positoin", "velocity"), "did you mean 'position'"),
        (("position",), "expected two names"),
    ],
)
def test_a_phase_plane_is_of_states_that_are_there(chosen, message):
    with pytest.raises(ValueError, match=message):
        choose_phase_plane(chosen, {"position": 2, "velocity": 2})
