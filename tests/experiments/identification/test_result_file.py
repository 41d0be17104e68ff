"""A fit goes into one file and comes back whole; its report and summary need no network."""

import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest

from experiments.identification import tables
from experiments.identification.findings import Message
from experiments.identification.fit_report import ExperimentTrace, FitReport
from experiments.identification.report import write_report
from experiments.identification.result_file import read_fit, write_fit
from sim.netcdf import read
from tests.compliance import TIME_IS_ELAPSED, complaints

ODD = '<b>µ</b> $a$b$ & "co" </script>'


def trace(name, count, band=True, output="y", input="u"):
    time = 0.01 * np.arange(count)
    simulated = np.sin(3 * time)
    measured = simulated + 0.1 * np.cos(50 * time)
    measured[count // 3 : count // 2] = np.nan
    return ExperimentTrace(
        name,
        time,
        {input: np.cos(time)},
        {output: measured},
        {output: simulated},
        {output: 0.02 + 0 * time} if band else {},
        {"rmse": {output: 0.07}, "fit_percent": {output: np.nan}},
        {output: "mm", input: "N"},
    )


def fitted(*traces, title="A fit"):
    """Of four parameters: free, fixed, undetermined, and negative with a large error."""
    value, error = np.array([1.23456, 2.0, 3.0, -0.1]), np.array([0.0123, np.nan, np.inf, 4.0])
    lags = np.arange(6)
    return FitReport(
        title,
        traces or (trace("training", 40), trace("test", 25, band=False), trace("a", 30)),
        ("mass", "gain[0]", "initial.position", ODD),
        ("kg", "1", "m", "µm"),
        value,
        1.5 * value,
        error,
        value - 1.96 * error,
        value + 1.96 * error,
        np.diag([0.0123**2, 0, 0, 16]),
        np.array([3.0, 0.5, 0.1]),
        {
            "whiteness y": (lags, 0.5**lags, 0.2, 1e-5),
            "whiteness_y": (0.01 * np.arange(-3, 3), np.zeros(6), np.full(6, 0.3), 0.7),
        },
        (Message("mass and gain: only their\nratio is determined"), Message(ODD)),
        (("this fit", {"rmse": 0.07}), ("theirs", {"rmse": 0.08, "FIT": 90.0}), ("none", {})),
        {"compile": 1.5, "fit": 0.25},
        profile=np.array([[1.2, 1.3], [np.nan, np.nan], [-np.inf, 4.0], [0.0, 1.0]]),
    )


@pytest.mark.parametrize(
    "given",
    [
        fitted(),
        fitted(
            trace(ODD, 12, output=ODD, input="parameter"),
            trace(ODD, 9, output="ü", input="loss"),
            trace("time", 7, output="ö", input="1 b"),
            title=ODD,
        ),
        fitted()._replace(tests={}, findings=(), published=(), seconds={}, loss=np.zeros(0)),
    ],
    ids=["plain", "odd names", "without tests"],
)
def test_what_is_written_is_read(tmp_path, given):
    write_fit(tmp_path / "fit.nc", given, {"config": "a: 1", "seed": 3})
    found = read_fit(tmp_path / "fit.nc")
    np.testing.assert_equal(tuple(found), tuple(given))
    assert list(found.traces[0].scores) == list(given.traces[0].scores)  # as ordered as they were
    assert [p.name for p in tmp_path.iterdir()] == ["fit.nc"]


def test_the_file_shows_the_first_experiment_and_the_others_by_name(tmp_path):
    given = fitted()
    write_fit(tmp_path / "fit.nc", given, {"config": "a: 1\nb: 2", "commit": None})
    data = read(tmp_path / "fit.nc")
    first = given.traces[0]
    assert data.y_simulated.dims == ("time",) and data.y_simulated.units == "mm"
    np.testing.assert_array_equal(data.y_residual, first.measured["y"] - first.simulated["y"])
    assert data.test_y_measured.sizes == {"test_time": 25} and data.u.units == "N"
    assert "test_y_sd" not in data and data.a_y_sd.experiment == "a"
    assert data.parameter_estimated.values.tolist() == [1, 0, 1, 1]
    assert data.covariance.dims == ("parameter", "parameter_2")
    assert (
        data.set_index(parameter="parameter_name").parameter_value.sel(parameter="mass") == 1.23456
    )
    assert (data.attrs["title"], data.attrs["config"]) == ("A fit", "a: 1\nb: 2")


def test_the_file_is_cf_compliant_whatever_the_names(tmp_path):
    given = fitted(trace("training", 12, output=ODD), trace("1 ö", 9, input=ODD))
    write_fit(tmp_path / "fit.nc", given, {})
    said = {m for m in complaints(tmp_path / "fit.nc") if "found in same group" not in m}
    assert said == TIME_IS_ELAPSED


def test_a_file_of_something_else_is_named(tmp_path):
    from sim.netcdf import writer
    from sim.trajectory import trajectory

    with writer(tmp_path / "x.nc", flush=2) as append:
        append(0, trajectory({"y": np.zeros(2)}, dt=1.0))
    with pytest.raises(ValueError, match=r"path: expected the file of a fit, got .*x\.nc"):
        read_fit(tmp_path / "x.nc")


class Page(HTMLParser):
    """Its elements, the text outside style, and what it would fetch."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text, self.links, self.ids = [], "", [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [v for k, v in attrs if k in ("src", "href", "xlink:href") and v[:1] != "#"]
        self.ids += [v for k, v in attrs if k == "id" and tag != "path"]

    def handle_data(self, data):
        self.text += data if self.tags[-1:] != ["style"] else ""


def drawn(tmp_path, given, config="a: <i>\n"):
    path = tmp_path / "report.html"
    write_report(path, given, config)
    return path.read_text(encoding="utf-8")


def test_a_report_tells_everything_and_fetches_nothing(tmp_path):
    text = drawn(tmp_path, fitted(trace("training", 40), trace(ODD, 700, output=ODD), title=ODD))
    page = Page(text)
    assert not page.links and not re.search(r"@import|url\((?!#)", text)
    assert not {"script", "link", "img", "b", "i"} & set(page.tags)  # what names hold is text
    assert page.tags.count("svg") == 4 and page.tags.count("details") == 1
    assert len(page.ids) == len(set(page.ids))
    for said in (
        ODD,
        "a: <i>",
        "1.235",
        "± 0.012",
        "1.210 to 1.259",
        "fixed",
        "not determined",
        "mass",
        "ratio is determined",
        "RMSE",
        "0.07 mm",
        "theirs",
        "whiteness y",
        "residual (mm)",
        "700 samples; on the right the 300",
        "compile 1.50 s",
        "loss 3 to 0.1",
    ):
        assert said in page.text, said
    for svg in re.findall(r"<svg.*?</svg>", text, re.S):
        ElementTree.fromstring(svg)
        assert "currentColor" in svg and "#010203" not in svg and "#000000" not in svg


def test_a_long_record_keeps_its_peak_in_a_small_file(tmp_path, monkeypatch):
    """The zoom is around the one bad sample, and the whole shows it as well."""
    monkeypatch.setattr("experiments.identification.report.TRACES", 4)
    long = trace("training", 65_000)
    long.simulated["y"][50_001] = 77.0
    text = drawn(tmp_path, fitted(long, *(trace(f"t{i}", 65_000) for i in range(5))))
    assert len(text) < 2e6 and "2 more experiments" in text
    assert Page(text).tags.count("svg") == 4 + 2
    figure = re.search(r"<svg.*?</svg>", text, re.S)[0]
    ticks = [float(t) for t in re.findall(r">(\d+\.?\d*)</text>", figure)]
    assert any(60 <= t <= 80 for t in ticks)  # of the simulation, up to its peak
    assert any(499.5 < t < 501 for t in ticks)  # of the time in the zoom


def test_a_simulation_that_diverged_and_a_record_without_samples_are_told(tmp_path):
    bad, empty = trace("bad", 700), trace("empty", 40)
    bad.simulated["y"][300:] = np.inf
    bad.simulated["y"][500:] = np.nan
    empty.measured["y"][:] = np.nan
    given = fitted(bad, empty)._replace(loss=np.array([np.nan, -1.0, np.inf]))
    assert Page(drawn(tmp_path, given)).tags.count("svg") == 4
    write_fit(tmp_path / "fit.nc", given, {})
    np.testing.assert_equal(tuple(read_fit(tmp_path / "fit.nc")), tuple(given))


def test_the_summary_is_plain_text_in_columns(tmp_path, capsys):
    (tmp_path / "fit.nc").write_bytes(b"0" * 1500)
    tables.print_fit(
        fitted(title="[bold]A fit[/]"), {"file": tmp_path / "fit.nc", "report": tmp_path / "no"}
    )
    said = capsys.readouterr().out
    lines = said.splitlines()
    assert lines[0] == "[bold]A fit[/]" and "\x1b" not in said
    head, mass = (next(x for x in lines if x.startswith(f"  {n} ")) for n in ("parameter", "mass"))
    for column, entry in [
        ("value", "1.235"),
        ("±", "± 0.012"),
        ("95 %", "1.210 to 1.259"),
        ("units", "kg"),
        ("start", "1.85184"),
    ]:
        assert mass.startswith(entry, head.index(column))
    assert ODD in said and "  gain[0]" in said
    assert "structure (whiteness y, p 1e-05)" in said and "whiteness_y, p" not in said
    assert "loss 3 to 0.1 in 2 iterations, compile 1.50 s, fit 0.25 s" in said
    assert f"{tmp_path / 'fit.nc'}  (2 kB)" in said and "report" not in said
    assert "theirs    0.08" in said


def test_a_parameter_at_its_bound_is_told_from_one_that_was_fixed():
    one = fitted()
    plain = {row[0]: row[2] for row in tables.parameter_table(one)}
    held = one._replace(at_bound=("gain[0]",))
    said = {row[0]: row[2] for row in tables.parameter_table(held)}
    assert plain["gain[0]"] == "fixed" and said == plain | {"gain[0]": "at its bound"}
