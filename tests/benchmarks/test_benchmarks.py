"""The benchmark harness: what a row holds and when it refuses; never how fast anything is."""

import importlib.util
import json
import subprocess
from functools import partial

import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import __main__ as command
from benchmarks import child, measure, ode, scan, stream
from benchmarks.measure import Timed, Work, close, compile_run

ISSUE_2 = (
    "ode.lorenz_rk4 ode.lorenz_rk4_grad ode.checkpointed_grad ode.ensemble_1024 ode.chain_n4 "
    "ode.chain_n16 ode.chain_n64 scan.compile_10 scan.compile_100 scan.compile_1000 stream.netcdf"
)
FIGURE = {"median", "min", "max"}


def side(*results):
    """A side whose runs say they take 1 s, then 2 s, 3 s, ..., and counts them."""
    calls = []

    def run():
        calls.append(1)
        return Timed(float(len(calls)), np.array(results))

    run.calls = calls
    return run


def work(ours, peers, **fields):
    sides = {name: (lambda run=run: run) for name, run in peers.items()}
    fields = {"unit": "ns/step", "scale": 10.0, "compare": close(1e-6)} | fields
    return Work(ours=lambda: ours, peers=sides, **fields)


def test_a_row_has_the_keys_of_the_format_and_figures_in_its_unit():
    closed = []
    row = measure.measure(
        "a.b",
        work(
            side(1.0),
            {"peer": side(1.0)},
            extra=lambda: {"peak_mb": 3},
            close=lambda: closed.append(1),
        ),
        rounds=3,
    )
    assert set(row) == {"name", "unit", "ours", "peers", "compile_s", "versions", "peak_mb"}
    # The first run, of 1 s, is the warm-up.
    assert row["ours"] == {"median": 30.0, "min": 20.0, "max": 40.0}
    assert row["peers"] == {"peer": row["ours"]}
    assert {"jax", "jaxlib", "numpy", "cpu", "date"} <= set(row["versions"])
    assert closed == [1]
    assert json.loads(json.dumps(row)) == row


def test_the_sides_take_turns():
    order = []

    def taking(name):
        return lambda: (order.append(name), np.zeros(1))[1]

    measure.measure("a.b", work(taking("o"), {"p": taking("p"), "q": taking("q")}), rounds=3)
    assert "".join(order) == "opq" + "opq" + "pqo" + "qop"


def test_a_missing_peer_is_named_and_the_others_are_measured():
    def absent():
        import package_that_is_not_there  # noqa: F401

    both = work(side(1.0), {"peer": side(1.0)})
    row = measure.measure("a.b", both._replace(peers={"absent": absent, **both.peers}), rounds=1)
    assert list(row["peers"]) == ["peer"]
    assert row["missing"] == {"absent": "No module named 'package_that_is_not_there'"}
    assert "error" not in row
    assert any("missing peer absent" in line for line in command.lines(row))


@pytest.mark.parametrize(
    ("results", "fault"),
    [
        ((1.0, 2.1), "differs by 0.048 of its largest value, expected at most 1e-06"),
        ((1.0, np.nan), "differs by nan"),
        ((1.0,), "expected arrays [(2,)], got [(1,)]"),
    ],
)
def test_results_that_disagree_are_an_error_and_nothing_is_timed(results, fault):
    ours, peer = side(1.0, 2.0), side(*results)
    row = measure.measure("a.b", work(ours, {"peer": peer}))
    assert "peer: " in row["error"] and fault in row["error"]
    assert (row["ours"], row["peers"]) == (None, {})
    assert len(ours.calls) == len(peer.calls) == 1
    assert command.lines(row) == [f"{'a.b':<24}{row['error']}"]


def test_a_side_that_fails_is_an_error_of_its_row_alone():
    def failing():
        raise ValueError("one line\nand another")

    row = measure.measure("a.b", work(failing, {}))
    assert row["error"] == "ValueError: one line"


def test_long_runs_are_not_repeated_and_stopped_ones_count_as_their_limit():
    def stopped():
        raise subprocess.TimeoutExpired("unrolled", 120.0)

    def long():
        return Timed(measure.LONG + 1, np.ones(1))

    row = measure.measure("a.b", work(side(1.0), {"long": long, "stopped": stopped}), rounds=3)
    assert [row["peers"][peer]["max"] for peer in ("long", "stopped")] == [210.0, 1200.0]
    assert row["notes"] == ["long: one run", "stopped: stopped after 120 s, which its figure is"]


def test_every_row_of_the_issue_is_found_by_walking_the_package():
    names = list(command.rows())
    assert set(ISSUE_2.split()) <= set(names)
    assert len(names) == len(set(names))


def test_patterns_select_names_families_and_globs():
    names = ISSUE_2.split()
    assert command.select(names, []) == names
    assert command.select(names, ["ode.lorenz_rk4"]) == ["ode.lorenz_rk4"]
    assert command.select(names, ["stream", "ode.chain_*"]) == [*names[4:7], "stream.netcdf"]
    with pytest.raises(ValueError, match="PATTERN: expected one that .*scan.compile_10.*'scam'"):
        command.select(names, ["scan", "scam"])


def test_the_command_writes_a_table_and_json(monkeypatch, tmp_path, capsys):
    rows = {
        "a.good": lambda: work(side(1.0), {"peer": side(1.0)}),
        "a.bad": lambda: work(side(1.0), {"peer": side(2.0)}),
    }
    monkeypatch.setattr(command, "rows", lambda: rows)
    file = tmp_path / "rows.json"
    assert command.main(["a.good", "--json", str(file)]) == 0
    assert command.main(["--json", str(file)]) == 1
    assert [row["name"] for row in json.loads(file.read_text())] == ["a.good", "a.bad"]
    assert "results disagree, nothing timed" in capsys.readouterr().out
    for wrong in (["nothing"], ["--json", str(tmp_path / "no" / "rows.json")]):
        with pytest.raises(SystemExit) as end:
            command.main(wrong)
        assert end.value.code == 2
        assert len(capsys.readouterr().err.strip().splitlines()) == 2  # the usage, then one line


def test_compiled_ends_with_its_result():
    assert compile_run(lambda x: 2 * x, jnp.arange(3))().tolist() == [0, 2, 4]


def needs(*packages):
    lacking = [name for name in packages if importlib.util.find_spec(name) is None]
    return pytest.mark.skipif(bool(lacking), reason=f"needs {', '.join(lacking)} (the bench extra)")


# One round, few steps: each side runs, and all results agree.
TINY = {
    "lorenz_rk4": partial(ode.lorenz_rk4, 8),
    "lorenz_rk4_grad": partial(ode.lorenz_rk4_grad, 8),
    "ensemble": partial(ode.ensemble, 4, 8),
    "ensemble_final": partial(ode.ensemble, 4, 8, final=True),
    "chain_n3": partial(ode.chain_rk4, 3, 8),
    "compile": partial(scan.compile_time, 3),
    "netcdf": partial(stream.netcdf, 50),
}


@needs("numba")
@pytest.mark.parametrize("name", TINY)
def test_the_sides_of_a_row_do_the_same_work(name):
    tiny = TINY[name]()
    row = measure.measure(name, tiny, rounds=1)
    assert "error" not in row
    assert set(row["peers"]) == set(tiny.peers)
    assert set(row["ours"]) == FIGURE
    assert row["ours"]["min"] > 0
    assert row["compile_s"] > 0 or name == "netcdf"


def test_the_two_gradients_agree_and_memory_is_measured_in_processes_of_their_own():
    row = measure.measure("grad", ode.checkpointed_grad(16, 4), rounds=1)
    assert set(row["peak_mb"]) == {"ours", "plain"}
    assert all(0 <= mb < 500 for mb in row["peak_mb"].values())


def test_a_child_returns_json_runs_in_float64_and_reports_its_failure():
    seconds, last = child.call("benchmarks.scan:compile_unrolled", 2)
    assert seconds > 0
    assert last == pytest.approx(scan.compile_loop(scan.run_scan, 2).result, rel=1e-12)
    with pytest.raises(RuntimeError, match="no_such_function"):
        child.call("benchmarks.scan:no_such_function")


def test_files_that_differ_are_told_apart(tmp_path):
    from sim.netcdf import writer
    from sim.trajectory import trajectory

    for name, x in (("a", [1.0, 2.0]), ("b", [1.0, 2.5])):
        with writer(tmp_path / f"{name}.nc", flush=2) as append:
            append(0, trajectory({"x": np.array(x)}, dt=1.0, first=0))
    assert stream.same_contents(tmp_path / "a.nc", tmp_path / "a.nc") is None
    assert stream.same_contents(tmp_path / "a.nc", tmp_path / "b.nc") == "x has other values"
