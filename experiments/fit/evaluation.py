"""The report of a fit: traces, scores, residual tests, uncertainty and findings."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.fit.findings import ColouredResidual, NoProfile, ProfilesTooNarrow
from experiments.fit.search import CONFIG_KEYS
from experiments.identification.findings import Finding, Message
from experiments.identification.fit_report import FitReport
from experiments.identification.parameters import (
    INTERVAL_LEVEL,
    parameter_estimates,
    unidentified_parameters,
)
from experiments.identification.prepared import Prepared
from experiments.identification.scoring import (
    data_warnings,
    is_white,
    make_trace,
    published_comparison,
    residual_tests,
    score_records,
    with_band,
)


def evaluate(prepared: Prepared, fit: Any, seconds: Mapping[str, float]) -> FitReport:
    """The report of a `sim.fit.Fit`.

    The tests are read here for the first time, and nothing is chosen by them. A record that
    cannot be scored is a finding, so that the fit is not lost.
    """
    from sim.fit.problem.free_run import free_run
    from sim.fit.uncertainty.bands import bands

    objective, options = prepared.setup.objective, prepared.options
    traces = [
        make_trace(prepared, record, free_run(objective, fit.params, state, record.experiment))
        for record, state in zip(prepared.records.training, fit.states, strict=True)
    ]
    # Where a state is not searched, its error fades over the first samples.
    skip = 0 if options.states == "free" else prepared.records.training[0].known
    residuals = residual_tests(traces[0], skip)
    findings: list[Finding] = [Message(fit.message)]
    if not is_white(prepared.data.outputs, residuals):
        fit, coloured = with_coloured_uncertainty(fit)
        findings += coloured
    # Segments that stayed apart have no band over the whole record.
    if options.bands and len(fit.problem.order) == len(traces):
        traces = [with_band(trace, bands(fit, i).sd) for i, trace in enumerate(traces)]
    scored, tests, unscored = _score_other_records(prepared, fit)
    estimates = parameter_estimates(prepared.setup, fit)
    findings += [*unscored, *unidentified_parameters(fit.uncertainty), *data_warnings(prepared)]
    profiles = np.zeros((0, 2))
    if options.profile:
        profiles, failed = profile_intervals(fit, estimates.names, options.profile)
        findings += failed
        if any(isinstance(finding, ColouredResidual) for finding in findings):
            findings.append(ProfilesTooNarrow())
    return FitReport(
        prepared.title,
        (*traces, *scored),
        **estimates._asdict(),
        loss=np.asarray(fit.loss),
        tests=residuals,
        findings=tuple(findings),
        published=published_comparison(prepared, tests),
        seconds=dict(seconds),
        profile=profiles,
    )


def _score_other_records(prepared, fit):
    """Traces of validation and tests, those of the tests alone, and what was not scored."""
    from sim.fit.problem.free_run import free_run
    from sim.fit.search.initial_state import initial_state

    objective, params = prepared.setup.objective, fit.params

    def score(record):
        state = initial_state(
            objective, params, record.experiment, record.known, prepared.setup.state
        )
        simulated = free_run(objective, params, state, record.experiment)
        return make_trace(prepared, record, simulated, record.known)

    return score_records(prepared.records, score, CONFIG_KEYS)


def with_coloured_uncertainty(fit: Any) -> tuple[Any, list[ColouredResidual]]:
    """The fit with the uncertainty of coloured residuals, and a finding that says so.

    A fit without a covariance, or of a likelihood, stays as it is, without a finding.
    """
    from sim.fit.uncertainty.coloured_residuals import coloured_uncertainty

    white = fit.uncertainty
    if white.covariance is None or fit.problem.objective.is_likelihood:
        return fit, []
    try:
        coloured = coloured_uncertainty(fit)
    except ValueError:  # of segments that stayed apart
        return fit, [ColouredResidual(None)]
    known = np.isfinite(white.standard_error) & (white.standard_error > 0)
    ratios = coloured.standard_error[known] / white.standard_error[known]
    widening = float(np.median(ratios)) if known.any() else 1.0
    return fit._replace(uncertainty=coloured), [ColouredResidual(widening)]


def profile_intervals(
    fit: Any, names: Sequence[str], profiled: Sequence[str]
) -> tuple[np.ndarray, list[NoProfile]]:
    """Intervals (P, 2) by the profile likelihood, NaN for parameters that are not ``profiled``.

    Returns:
        The intervals in the order of ``names``, and a finding for each that fails.
    """
    from sim.fit import profile

    intervals, failed = np.full((len(names), 2), np.nan), []
    for name in profiled:
        try:
            interval = profile(fit, name, level=INTERVAL_LEVEL).interval
            intervals[names.index(name)] = interval
        except ValueError as error:
            failed.append(NoProfile(name, str(error)))
    return intervals, failed
