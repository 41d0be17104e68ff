"""What a fit returns: parameters, their uncertainty and the state of the search."""

from typing import Any, NamedTuple

import numpy as np
from scipy.special import expit, stdtrit

from sim.fit.problem.fingerprint import Fingerprint
from sim.fit.problem.linearisation import Linearisation
from sim.fit.problem.problem import Problem
from sim.messages import join_names


class UnidentifiedParameters(NamedTuple):
    """Parameters that the data do not determine: one that has no effect on the outputs, or several
    that affect them only in a combination."""

    names: tuple[str, ...]

    def describe(self) -> str:
        if len(self.names) == 1:
            return f"{self.names[0]} has no effect on the outputs: the data do not determine it"
        return f"{join_names(self.names)}: the data determine only a combination of them, not each"


class ActiveBound(NamedTuple):
    """A parameter at one of its bounds, beyond which the loss would fall further."""

    name: str
    bound: float

    def describe(self) -> str:
        return f"{self.name} is held by its bound {self.bound:g}"


class NoCovariance(NamedTuple):
    """Why a fit has no covariance.

    Attributes:
        max_unknowns: the limit, which the number of unknowns exceeds; None where the model has
            no forward-mode derivative.
    """

    max_unknowns: int | None

    def describe(self) -> str:
        if self.max_unknowns is None:
            reason = "a model with jax.custom_vjp has no forward-mode derivative"
        else:
            reason = f"more than {self.max_unknowns} unknowns"
        return f"{reason}: no covariance was computed"


class Uncertainty(NamedTuple):
    """What the data say about the estimated parameters, at the minimum of the loss.

    Attributes:
        names: of each estimated number, dotted: "mass", "A[0, 1]", and "states[0].position"
            of the first experiment's initial state.
        value, standard_error: (P,).
        covariance: (P, P), the inverse of the information: σ² (JᵀJ)⁻¹ of a sum of squares,
            of a likelihood the inverse of the curvature of its logarithm. None, and the
            errors NaN, where it was not computed.
        unidentified: the parameters that the data do not determine; their standard errors are
            infinite.
        degrees: of freedom of the σ² in the covariance; infinite of a likelihood.
        bounds: (P, 2), the range of each parameter, mostly −∞ to ∞.
        root: W (n, k) with cov z = W Wᵀ, for the vector z of the search; or None.
        at_bound: the parameters at a bound. Their errors are NaN, and `profile` gives their
            intervals; the errors of the others are those with these fixed.
        no_covariance: why there is no covariance; None where there is one.
    """

    names: tuple[str, ...]
    value: np.ndarray
    standard_error: np.ndarray
    covariance: np.ndarray | None
    unidentified: tuple[UnidentifiedParameters, ...]
    degrees: float = np.inf
    bounds: np.ndarray | None = None
    root: np.ndarray | None = None
    at_bound: tuple[ActiveBound, ...] = ()
    no_covariance: NoCovariance | None = None

    @property
    def open(self) -> tuple[str, ...]:
        """Sentences about what the data do not determine, or why there is no covariance."""
        if self.no_covariance is not None:
            return (self.no_covariance.describe(),)
        return tuple(finding.describe() for finding in self.unidentified)

    @property
    def bound_sentences(self) -> tuple[str, ...]:
        """Sentences about the parameters at a bound."""
        return tuple(finding.describe() for finding in self.at_bound)

    held = bound_sentences  # its earlier name

    def interval(self, level: float = 0.95):
        """The interval (P, 2) of each parameter, by Student's t.

            θ ± t se;   (θ − a) e^{± t se / (θ − a)} above a;   logit θ ± t se dlogit/dθ within a, b

        It covers the parameter with probability ``level``. With bounds it stays within them: for a
        variance, whose estimate is skewed in small samples, only such an interval has the stated
        coverage.

        Reference: W. Q. Meeker and L. A. Escobar, *Statistical Methods for Reliability
        Data*, Wiley 1998, section 7.3.
        """
        reach = stdtrit(self.degrees, 0.5 + level / 2) * self.standard_error
        a, b = (
            np.tile([-np.inf, np.inf], (len(reach), 1)).T if self.bounds is None else self.bounds.T
        )
        with np.errstate(all="ignore"):  # an interval may reach its bound, or infinity
            return np.stack(
                [_interval_end(self.value, side * reach, a, b) for side in (-1, 1)], axis=1
            )


def _interval_end(value, reach, a, b):
    """One end of each interval (P,), a signed ``reach`` (P,) away where there are no bounds."""
    below, above = value - a, b - value
    unbounded = value + reach
    end = np.select(
        [np.isinf(a) & np.isinf(b), np.isinf(b), np.isinf(a)],
        [unbounded, a + below * np.exp(reach / below), b - above * np.exp(-reach / above)],
        a + (b - a) * expit(np.log(below / above) + reach * (1 / below + 1 / above)),
    )
    return np.where(np.isnan(end), np.clip(unbounded, a, b), end)  # a value on its bound


class Best(NamedTuple):
    """The best z of a search so far, its monitored loss, and the number of steps since."""

    z: Any
    loss: Any
    steps_since: Any


class SearchState(NamedTuple):
    """The whole state of a fit: the state of the solver, the weights of the outputs, the round of
    reweighting, the best z so far, and the fingerprint of the problem."""

    search: Any
    weights: Any
    round: int
    best: Best | None = None
    fingerprint: Fingerprint | None = None

    @property
    def minimum(self):
        """z (n,), the best one so far."""
        return self.search.z if self.best is None else self.best.z


class Fit(NamedTuple):
    """The estimated parameters, and how the search for them went.

    Attributes:
        params: the parameters, a pytree like that of the start.
        states: the initial state of each experiment.
        loss: (steps + 1,), half the weighted sum of squared errors, or −log-likelihood.
        noise: (outputs,), the standard deviation of the errors, in the units of y.
        uncertainty: standard errors, covariance and intervals of the parameters.
        message: how the search ended, in words.
        search: the whole state of the search, one pytree, from which `fit` can continue.
        problem: the problem that was solved.
        validation: (steps + 1,), the loss on the validation experiments, or None.
        linearisation: the quadratic model of the loss at its minimum, from which `bands`,
            `coloured` and `profile` start; None where the fit did not compute it.
        huber: for a robust loss, the sum of squares that has its covariance, see
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
        """z (n,), the minimum that the search found."""
        return self.search.minimum
