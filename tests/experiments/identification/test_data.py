"""Data walk one way: each record is read once, and becomes an `Experiment` once."""

from collections import Counter

import numpy as np

import sim.fit
from experiments.identification import data as records
from experiments.identification.experiments import (
    build_records,
    common_interval,
    continuous_experiment,
)
from experiments.records import columns


def test_a_record_is_read_once_and_becomes_an_experiment_once(tmp_path, monkeypatch):
    calls = Counter()

    def count(module, name):
        inner = getattr(module, name)

        def counted(*arguments, **options):
            calls[name] += 1
            return inner(*arguments, **options)

        monkeypatch.setattr(module, name, counted)

    count(columns, "read_columns")
    count(sim.fit, "sampled")
    path = tmp_path / "r.csv"
    table = np.column_stack([0.1 * np.arange(30), np.arange(30) % 7, np.arange(30)])
    np.savetxt(path, table, delimiter=",", header="time,u,y", comments="")
    data = records.data(
        str(path),
        train=(records.Part("a", (0, 10)), records.Part("b", (10, 20))),
        validation=(records.Part("c", (20, 30)),),
    )
    dt = common_interval(data, None)
    built = build_records(data, dt, lambda u, y: continuous_experiment("zero_order", dt, 1, u, y))
    assert calls == {"read_columns": 1, "sampled": 3} and dt == 0.1
    assert [record.name for record in (*built.training, *built.validation)] == ["a", "b", "c"]
    first = built.training[1]
    np.testing.assert_allclose(first.time, table[10:20, 0])
    np.testing.assert_array_equal(first.experiment.y[:, 0], table[11:20, 2])


def test_a_test_has_no_outputs_before_it_is_opened(tmp_path):
    path = tmp_path / "r.csv"
    np.savetxt(path, np.ones((20, 2)), delimiter=",", header="u,y", comments="")
    parts = (records.Part("a", (0, 10)),), (records.Part("late", (10, 20)),)
    data = records.data(str(path), time=None, train=parts[0], test=parts[1])
    built = build_records(data, 0.5, lambda u, y: continuous_experiment("zero_order", 0.5, 1, u, y))
    assert data.tests[0].y.shape == (10, 0)
    opened = built.open_test(data.tests[0])
    assert opened.y.shape == (10, 1) and opened.time[1] == 0.5
