"""How far to trust a simulated trajectory."""

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
    """A simulated trajectory, or one of predictions, and how well the fit knows it.

    Attributes:
        simulated, sd: (N, outputs), with a row for y0 where a simulation has one; sd is
            the standard deviation of the simulated, without the noise of a measurement. Of a
            `Prediction` it is each sample predicted from those before, NaN where missing.
        degrees: of freedom of the σ² in it.
    """

    simulated: np.ndarray
    sd: np.ndarray
    degrees: float = np.inf

    def interval(self, level: float = 0.95):
        """(2, N, outputs): between these lies the noiseless output, each at a stated rate."""
        reach = stdtrit(self.degrees, 0.5 + level / 2) * self.sd
        return np.stack([self.simulated - reach, self.simulated + reach])


def bands(found: Fit, experiment: int | Experiment = 0, state: Any = None) -> Band:
    """sd(ŷ_k)² = J_k cov(z) J_kᵀ,   J_k = ∂ŷ_k/∂z

    One forward-mode pass for each direction of z, one after the other: memory is that of a
    few trajectories.

    Args:
        found: of a `Simulation`, or of a `Prediction`, whose sd is what the parameters alone
            put on the predictions of its filter. Its uncertainty is what the band shows.
        experiment: which of those that were fitted, by number; or another one.
        state: the initial state of another one, taken as known.

    Raises:
        ValueError: no such experiment.

    Reference: G. A. F. Seber and C. J. Wild, *Nonlinear Regression*, Wiley 1989,
    section 5.1.

    >>> from sim import Stepper
    >>> from sim.fit import Simulation, fit
    >>> def model(p):   # what is seen is p, throughout
    ...     return Stepper(jnp.asarray, lambda s, _: (s, p["level"]))
    >>> e = Experiment(None, jnp.array([[1.0], [2.0], [3.0]]))
    >>> found = fit(Simulation(model), {"level": 1.0}, e, states=0.0, free_states=False)
    >>> bands(found).sd.round(3).tolist()   # 1 / √3
    [[0.577], [0.577], [0.577]]
    """
    problem = found.problem
    z = found.minimum
    theta, _ = problem.split_vector(z)
    n, m = len(theta), problem.states.size
    W, reach = found.uncertainty.root, found.uncertainty.degrees
    if W is None:
        factor = covariance_factor(problem, z, linearisation_at_minimum(found))
        W, reach = factor.W, factor.degrees
    if isinstance(experiment, Experiment):
        problem = replace(problem, states=problem.states._replace(free=False))
        own, e, s, size = np.arange(n), experiment, theta[:0], jnp.ones_like(theta)
        given = jax.tree.map(lambda leaf: jnp.asarray(leaf, z.dtype), state)
    else:
        if experiment not in range(len(problem.order)):
            raise ValueError(
                f"experiment: expected a number below {len(problem.order)} or an "
                f"Experiment, got {experiment!r}"
            )
        given, e = problem.per_experiment(z)[1][experiment]
        at = n + m * problem.order.index(experiment)
        own, size = np.r_[:n, at : at + m], problem.unit[at : at + m]
        s, size = size * z[at : at + m], jnp.concatenate([jnp.ones_like(theta), size])
    directions = jnp.asarray(W[own].T, z.dtype) * size[None]
    simulated, sd = _propagate_band(problem, jnp.concatenate([theta, s]), e, given, directions)
    return Band(np.asarray(simulated), np.asarray(sd), reach)


@jax.jit
def _propagate_band(problem, both, e, given, directions):
    n = problem.parameter_count

    def simulated(both):
        p, x0 = problem.parameters(both[:n]), problem.states.unpack(both[n:], given)
        if problem.objective.is_likelihood:
            return e.y - problem.objective.run(p, x0, e)[1].innovation
        return run_outputs(problem.objective, p, x0, e)

    def one_more(squares, direction):
        moved = jax.jvp(simulated, (both,), (direction,))[1]
        return squares + moved * moved, None

    best = simulated(both)
    squares, _ = rollout(one_more, jnp.zeros_like(best), directions)
    return best, jnp.where(jnp.isnan(best), jnp.nan, jnp.sqrt(squares))
