"""Confidence bands of simulated trajectories, from the covariance of the parameters."""

from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import stdtrit

from sim import rollout
from sim.fit.problem.free_run import run_outputs
from sim.fit.result import Fit
from sim.fit.uncertainty.covariance import covariance_factor, linearisation_at_minimum
from sim.records.experiment import Experiment


class Band(NamedTuple):
    """A simulated trajectory, or one of predictions, and its uncertainty.

    Attributes:
        simulated, sd: (N, outputs), with a row for y0 where a simulation has one. sd is the
            standard deviation of the simulated output, without measurement noise. For a
            `Prediction`, each sample is predicted from those before; NaN where missing.
        degrees: of freedom of the σ² in sd.
    """

    simulated: np.ndarray
    sd: np.ndarray
    degrees: float = np.inf

    def interval(self, level: float = 0.95):
        """Lower and upper limit (2, N, outputs): each noiseless output lies between them with
        probability ``level``."""
        reach = stdtrit(self.degrees, 0.5 + level / 2) * self.sd
        return np.stack([self.simulated - reach, self.simulated + reach])


def bands(found: Fit, experiment: int | Experiment = 0, state: Any = None) -> Band:
    """sd(ŷ_k)² = J_k cov(z) J_kᵀ,   J_k = ∂ŷ_k/∂z

    One forward-mode pass for each direction of z, one after the other: the memory is that of a
    few trajectories.

    Args:
        found: a fit of a `Simulation`, or of a `Prediction`; for the latter, sd is the
            uncertainty of the filter's predictions from that of the parameters alone. The band
            follows from ``found.uncertainty``.
        experiment: the index of a fitted experiment, or another `Experiment`.
        state: the initial state of another experiment, taken as known.

    Raises:
        ValueError: there is no such experiment.

    Reference: G. A. F. Seber and C. J. Wild, *Nonlinear Regression*, Wiley 1989,
    section 5.1.

    >>> from sim import Stepper
    >>> from sim.fit import Simulation, fit
    >>> def model(p):   # its output is p["level"] at all times
    ...     return Stepper(jnp.asarray, lambda s, _: (s, p["level"]))
    >>> e = Experiment(None, jnp.array([[1.0], [2.0], [3.0]]))
    >>> found = fit(Simulation(model), {"level": 1.0}, e, states=0.0, free_states=False)
    >>> bands(found).sd.round(3).tolist()   # 1 / √3
    [[0.577], [0.577], [0.577]]
    """
    problem, z = found.problem, found.minimum
    theta, _ = problem.split_vector(z)
    n, m = len(theta), problem.states.size
    W, degrees = found.uncertainty.root, found.uncertainty.degrees
    if W is None:
        factor = covariance_factor(problem, z, linearisation_at_minimum(found))
        W, degrees = factor.W, factor.degrees
    if isinstance(experiment, Experiment):
        problem = replace(problem, states=problem.states._replace(free=False))
        rows, s, unit = np.arange(n), theta[:0], jnp.ones_like(theta)
        given = jax.tree.map(lambda leaf: jnp.asarray(leaf, z.dtype), state)
    else:
        if experiment not in range(len(problem.order)):
            raise ValueError(
                f"experiment: expected a number below {len(problem.order)} or an "
                f"Experiment, got {experiment!r}"
            )
        first = n + m * problem.order.index(experiment)
        numbers = slice(first, first + m)
        given, experiment = problem.per_experiment(z)[1][experiment]
        rows, unit = np.r_[:n, numbers], problem.unit[numbers]
        s, unit = unit * z[numbers], jnp.concatenate([jnp.ones_like(theta), unit])
    directions = jnp.asarray(W[rows].T, z.dtype) * unit[None]
    both = jnp.concatenate([theta, s])
    simulated, sd = _propagate_band(problem, both, experiment, given, directions)
    return Band(np.asarray(simulated), np.asarray(sd), degrees)


@jax.jit
def _propagate_band(problem, both, e, given, directions):
    """The outputs at ``both``, parameters and state, and their standard deviation."""
    n = problem.parameter_count

    def outputs(both):
        p, x0 = problem.parameters(both[:n]), problem.states.unpack(both[n:], given)
        if problem.objective.is_likelihood:
            return e.y - problem.objective.run(p, x0, e)[1].innovation
        return run_outputs(problem.objective, p, x0, e)

    def add_square(squares, direction):
        slope = jax.jvp(outputs, (both,), (direction,))[1]
        return squares + slope * slope, None

    best = outputs(both)
    squares, _ = rollout(add_square, jnp.zeros_like(best), directions)
    return best, jnp.where(jnp.isnan(best), jnp.nan, jnp.sqrt(squares))
