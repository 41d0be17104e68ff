"""What a fit returns: parameters, their uncertainty and the state of the search."""

from typing import Any, NamedTuple

import numpy as np
from scipy.special import expit, stdtrit

from sim.fit.problem.fingerprint import Fingerprint
from sim.fit.problem.linearisation import Linearisation
from sim.fit.problem.problem import Problem


class Uncertainty(NamedTuple):
    """What the data say of the searched parameters, at the minimum of the loss.

    Attributes:
        names: of each searched number, dotted: "mass", "A[0, 1]", and "states[0].position"
            of the first experiment's initial state.
        value, standard_error: (P,).
        covariance: (P, P), the inverse of the information: σ² (JᵀJ)⁻¹ of a sum of squares,
            of a likelihood the inverse of the curvature of its logarithm. None, and the
            errors NaN, where the unknowns are too many to ask.
        open: in words, the directions that the data do not determine; their standard
            errors are infinite.
        degrees: of freedom of the σ² in the covariance; infinite of a likelihood.
        bounds: (P, 2), between which each lies by its kind, mostly −∞ and ∞.
        root: W (n, k) of what was searched, cov z = W Wᵀ, or None.
        held: in words, what is held by a bound, of which the errors are NaN, and its interval
            one for `profile`; the errors of the others are those with it fixed there.
    """

    names: tuple[str, ...]
    value: np.ndarray
    standard_error: np.ndarray
    covariance: np.ndarray
    open: tuple[str, ...]
    degrees: float = np.inf
    bounds: np.ndarray | None = None
    root: np.ndarray | None = None
    held: tuple[str, ...] = ()

    def interval(self, level: float = 0.95):
        """The interval (P, 2) that covers each parameter at a stated rate, by Student's t.

            θ ± t se;   (θ − a) e^{± t se / (θ − a)} above a;   logit θ ± t se dlogit/dθ within a, b

        That of a parameter with bounds stays within them: a variance, of which small samples
        say more upwards than downwards, is covered as stated only so.

        Reference: W. Q. Meeker and L. A. Escobar, *Statistical Methods for Reliability
        Data*, Wiley 1998, section 7.3.
        """
        reach = stdtrit(self.degrees, 0.5 + level / 2) * self.standard_error
        a, b = (
            np.tile([-np.inf, np.inf], (len(reach), 1)).T if self.bounds is None else self.bounds.T
        )
        with np.errstate(all="ignore"):  # a range that fills up to its bound, or to infinity
            return np.stack(
                [_interval_end(self.value, side * reach, a, b) for side in (-1, 1)], axis=1
            )


def _interval_end(value, reach, a, b):
    """An end of the intervals, by steps (P,) to either side that are symmetric without bounds."""
    below, above = value - a, b - value
    plain = value + reach
    end = np.select(
        [np.isinf(a) & np.isinf(b), np.isinf(b), np.isinf(a)],
        [plain, a + below * np.exp(reach / below), b - above * np.exp(-reach / above)],
        a + (b - a) * expit(np.log(below / above) + reach * (1 / below + 1 / above)),
    )
    return np.where(np.isnan(end), np.clip(plain, a, b), end)  # a value on its bound


class Best(NamedTuple):
    """The best place of a search yet, by what is watched, and the steps since."""

    z: Any
    loss: Any
    steps_since: Any


class SearchState(NamedTuple):
    """The whole state of a fit: the search, the weights of the outputs, their round, the best,
    and the fingerprint of the problem it is of."""

    search: Any
    weights: Any
    round: int
    best: Best | None = None
    fingerprint: Fingerprint | None = None

    @property
    def minimum(self):
        """z (n,), the best place yet."""
        return self.search.z if self.best is None else self.best.z


class Fit(NamedTuple):
    """The parameters of a fit, and how the search for them went.

    Attributes:
        params: the parameters, a pytree as that of the start.
        states: the initial state of each experiment.
        loss: (steps + 1,), half the weighted sum of squared errors, or −log-likelihood.
        noise: (outputs,), the standard deviation of the errors, in the units of y.
        uncertainty: how far to trust the parameters.
        message: how the search ended, in words.
        search: the whole state of the search, one pytree: `fit` goes on from it.
        problem: the problem that was solved.
        validation: (steps + 1,), the loss on the validation experiments, or None.
        linearisation: the quadratic model of the loss at its minimum, from which `bands`,
            `coloured` and `profile` start; None where the fit did not evaluate it.
        huber: of a robust loss the sum of squares that has its covariance, see
            `huber_linearisation`; else None.
    """

    params: Any
    states: tuple[Any, ...]
    loss: np.ndarray
    noise: np.ndarray
    uncertainty: Uncertainty
    message: str
    search: Any
    problem: Problem
    validation: np.ndarray | None = None
    linearisation: Linearisation | None = None
    huber: Any = None

    @property
    def minimum(self):
        """z (n,), the best place of the search."""
        return self.search.minimum
