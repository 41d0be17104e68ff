"""The outcome of a fit or a training, as the file, the tables and the report take it."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from experiments.identification.findings import Finding


class ExperimentTrace(NamedTuple):
    """One experiment and its simulation by the fitted model.

    Attributes:
        name: "training", "validation", "multisine", …
        time: (T,), s, strictly increasing.
        inputs, measured, simulated: name to (T,); NaN in ``measured`` is a missing sample.
        band: name to the standard deviation of the simulation (T,); may be empty.
        scores: name of a score to output to number.
        units: of inputs and outputs, as far as they are known.
    """

    name: str
    time: np.ndarray
    inputs: Mapping[str, np.ndarray]
    measured: Mapping[str, np.ndarray]
    simulated: Mapping[str, np.ndarray]
    band: Mapping[str, np.ndarray]
    scores: Mapping[str, Mapping[str, float]]
    units: Mapping[str, str] = {}


class FitReport(NamedTuple):
    """The whole outcome of a fit or a training.

    Attributes:
        traces: the experiments, those of the training first.
        names, units: of P scalar parameters: "mass", "gain[0]", "initial.position".
        value, start, standard_error, lower, upper: (P,), with 95 % intervals. The standard
            error is NaN where a parameter is fixed or at its bound, and infinite where the
            data do not determine it.
        covariance: (P, P).
        loss: (iterations + 1,).
        tests: of the residual, "whiteness y" to (lags, correlation, bound, p).
        findings: what a reader should know; a file keeps their sentences.
        published: (method, {column: score}), this fit first.
        seconds: "compile", "fit".
        validation: (iterations + 1,), the loss on the validation records; or empty.
        weights: parts of a network to their count of numbers; they are not among ``names``.
        profile: (P, 2), intervals by the profile likelihood, NaN where none was asked for;
            or empty.
        at_bound: names of the parameters that the search left at a bound; a file does not
            keep them.
    """

    title: str
    traces: tuple[ExperimentTrace, ...]
    names: tuple[str, ...]
    units: tuple[str, ...]
    value: np.ndarray
    start: np.ndarray
    standard_error: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    covariance: np.ndarray
    loss: np.ndarray
    tests: Mapping[str, tuple] = {}
    findings: tuple[Finding, ...] = ()
    published: tuple[tuple[str, Mapping[str, float]], ...] = ()
    seconds: Mapping[str, float] = {}
    validation: np.ndarray = np.zeros(0)
    weights: Mapping[str, int] = {}
    profile: np.ndarray = np.zeros((0, 2))
    at_bound: tuple[str, ...] = ()

    @property
    def sentences(self) -> tuple[str, ...]:
        """The findings in words."""
        return tuple(finding.describe() for finding in self.findings)
