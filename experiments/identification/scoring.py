"""Traces, scores and residual tests of a fitted model."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from experiments.identification.config_keys import reword_error
from experiments.identification.data import SampledRecord
from experiments.identification.experiments import RecordedExperiment, Records
from experiments.identification.findings import ConstantInput, Finding, NotScored
from experiments.identification.fit_report import ExperimentTrace
from experiments.identification.prepared import Prepared

MAX_LAGS = 30


def data_warnings(prepared: Prepared) -> list[Finding]:
    """Findings about the records, whatever the search makes of them."""
    inputs = np.concatenate([record.u for record in prepared.records.training])
    constant = [
        ConstantInput(name, float(u[0]))
        for name, u in zip(prepared.data.inputs, inputs.T, strict=True)
        if np.ptp(u) == 0
    ]
    return [*constant, *prepared.data.warnings, *prepared.setup.warnings]


def make_trace(
    prepared: Prepared, record: RecordedExperiment, simulated: Any, skip: int = 0, sd: Any = None
) -> ExperimentTrace:
    """One experiment and its simulation (T, outputs), scored from sample ``skip`` on.

    Args:
        prepared: the names of the columns, and their units.
        record: the experiment.
        simulated: (T, outputs).
        skip: samples at the start that do not count.
        sd: (T, outputs), the standard deviation of the simulation, or None.

    Raises:
        ValueError: no sample is left to score.
    """
    from sim.fit.validation.scores import scores

    if skip >= len(record.y):
        raise ValueError(f"n: expected fewer known samples than its {len(record.y)}, got {skip}")
    simulated, outputs = np.asarray(simulated, float), prepared.data.outputs
    values = scores(record.y[skip:], simulated[skip:])._asdict()
    trace = ExperimentTrace(
        record.name,
        record.time,
        dict(zip(prepared.data.inputs, record.u.T, strict=True)),
        dict(zip(outputs, record.y.T, strict=True)),
        dict(zip(outputs, simulated.T, strict=True)),
        {},
        {name: dict(zip(outputs, map(float, row), strict=True)) for name, row in values.items()},
        prepared.setup.units,
    )
    return trace if sd is None else with_band(trace, sd)


def with_band(trace: ExperimentTrace, sd: Any) -> ExperimentTrace:
    """A trace with the standard deviation (T, outputs) of its simulation."""
    return trace._replace(band=dict(zip(trace.measured, np.asarray(sd, float).T, strict=True)))


def residual_tests(trace: ExperimentTrace, skip: int) -> dict[str, tuple]:
    """Whiteness of each residual, and its correlation with each input, from sample ``skip`` on.

    A residual of fewer than 25 samples is not tested.
    """
    from sim.fit.validation.cross_correlation import cross_correlation
    from sim.fit.validation.whiteness import whiteness

    tests = {}
    for output in trace.measured:
        residual = (trace.measured[output] - trace.simulated[output])[skip:]
        lags = min(MAX_LAGS, np.isfinite(residual).sum() // 5)
        if lags < 5 or not np.nanstd(residual) > 0:
            continue
        results = {f"whiteness {output}": whiteness(residual, lags)}
        for name, u in trace.inputs.items():
            if np.ptp(u[skip:]) > 0:
                results[f"{name} to {output}"] = cross_correlation(residual, u[skip:], lags)
        for name, test in results.items():
            tests[name] = (
                np.asarray(test.lags),
                np.asarray(test.correlation, float),
                np.broadcast_to(np.asarray(test.bound, float), np.shape(test.lags)),
                float(np.squeeze(test.p)),
            )
    return tests


def is_white(outputs: Iterable[str], tests: Mapping[str, tuple]) -> bool:
    """Whether no residual fails its test of whiteness at 5 %.

    >>> is_white(["y"], {"whiteness y": (None, None, None, 0.01)}), is_white(["y"], {})
    (False, True)
    """
    whiteness = [tests.get(f"whiteness {output}") for output in outputs]
    return all(test is None or test[-1] >= 0.05 for test in whiteness)


def published_comparison(prepared: Prepared, tests: list[ExperimentTrace]) -> tuple:
    """The scores of the tests and the published ones, in the units of the latter.

    Empty without tests or without published scores.
    """
    data = prepared.data
    if not data.published or not tests:
        return ()
    units = f" ({data.units})" if data.units else ""
    scores = {
        f"{trace.name}{units}": data.scale * next(iter(trace.scores["rmse"].values()))
        for trace in tests
    }
    rows = [("this fit", scores)]
    for method, published in data.published.items():
        rows.append((method, {f"{name}{units}": float(v) for name, v in published.items()}))
    return tuple(rows)


def score_records(
    records: Records, score: Callable[[RecordedExperiment], ExperimentTrace], keys: Mapping
) -> tuple[list[ExperimentTrace], list[ExperimentTrace], list[NotScored]]:
    """Score the validation records and the tests, whose outputs are read here for the first time.

    A record that cannot be scored is a finding, so that the search is not lost.

    Args:
        records: the records.
        score: makes a scored trace of one of them.
        keys: arguments of `sim.fit` to keys of the configuration, for the messages.

    Returns:
        The traces of all of them, those of the tests alone, and those that were not scored.
    """
    traces, tests, unscored = [], [], []
    for record in (*records.validation, *records.data.tests):
        is_test = isinstance(record, SampledRecord)
        try:
            trace = score(records.open_test(record) if is_test else record)
            traces.append(trace)
            tests += [trace] if is_test else []
        except (OSError, ValueError) as error:
            name = record.part.name if is_test else record.name
            unscored.append(NotScored(name, reword_error(error, keys)))
    return traces, tests, unscored
