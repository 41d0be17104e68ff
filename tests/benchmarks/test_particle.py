"""The comparison of two estimates: it takes a run of its kind and refuses any other."""

import importlib.util

import numpy as np
import pytest

from benchmarks import __main__ as command
from benchmarks import measure, particle

rng = np.random.default_rng(0)
RUNS = [(rng.normal(size=1000), rng.normal()) for _ in range(9)]


def test_the_row_is_found():
    assert command.select(list(command.rows()), ["particle"]) == ["particle.bootstrap_1000"]


@pytest.mark.parametrize(
    ("shift", "factor", "fault"),
    [
        ((0.0, 0.0), 1.0, None),
        ((1.0, 0.0), 1.0, "means 1.3"),
        ((0.0, 0.0), 1.5, "means 1.4"),
        ((0.0, 9.0), 1.0, "log-likelihood off by"),
        ((0.0, -9.0), 1.0, "log-likelihood off by"),
        ((np.nan, 0.0), 1.0, "means nan"),
    ],
)
def test_one_more_run_agrees_and_another_does_not(shift, factor, fault):
    m, loglik = RUNS[0]
    said = particle.agree(RUNS[1:])((factor * m + shift[0], loglik + shift[1]))
    assert said is None if fault is None else said.startswith(fault)


def test_means_of_another_length_are_named():
    assert particle.agree(RUNS[1:])((np.zeros(3), 0.0)) == "expected means (1000,), got (3,)"


def test_the_sides_agree():
    lacking = [p for p in ("particles", "cuthbert") if importlib.util.find_spec(p) is None]
    if lacking:
        pytest.skip(f"needs {', '.join(lacking)} (the bench extra)")
    row = measure.measure("tiny", particle.work(200, 500), rounds=1)
    assert "error" not in row
    assert set(row["peers"]) == {"particles", "cuthbert"}


def test_ours_runs_without_peers():
    row = measure.measure("tiny", particle.work(20, 200)._replace(peers={}), rounds=1)
    assert row["ours"]["min"] > 0
