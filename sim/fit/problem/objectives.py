"""What a search makes small: errors of a simulation, or of predictions by a filter."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from sim import check, rollout
from sim.inputs import at
from sim.records.experiment import Experiment


def flatten_output(p, y, u):
    """All numbers of what a step emits, in the order of its leaves."""
    return jnp.concatenate([jnp.ravel(leaf) for leaf in jax.tree.leaves(y)])


def identity(p, x0):
    return x0


def state_of(carry):
    return getattr(carry, "y", carry)


def _check_init_arguments(init, state: tuple) -> tuple:
    """The arguments of a stepper's ``init``, which are one state or none."""
    try:
        inspect.signature(init).bind(*state)
    except TypeError:
        wants = (
            "an initial state, which the model takes"
            if not state
            else "None, as the model takes none"
        )
        raise ValueError(f"states: expected {wants}, got {'one' if state else 'None'}") from None
    except ValueError:  # what is built in does not say what it takes
        pass
    return state


@dataclass(frozen=True)
class Simulation:
    """The error of a free run, y − ŷ: the output error.

        ŷ_k = h(θ, s_k, u_k),   s_{k+1} = step(θ; s_k, u)

    Args:
        model: ``model(p) -> Stepper``, a stepper of any kind (an integrator over a vector
            field, a network, a filter, a cascade) for parameters p, any pytree.
        observe: ``observe(p, y, u) -> (outputs,)``, what is measured of what the stepper
            emits, with u the input at that instant; by default all of it.
        initial: ``initial(p, x0)``, what the stepper's ``init`` takes; by default x0.
        final: ``final(carry)``, what would be the x0 of a run that goes on from there; by
            default the y of an integrator's carry, or all of another's.
        checkpoint_every: for long records that a gradient goes back through, see `rollout`.
        robust: `Huber()` or `StudentT()`, of which a few gross errors are no large part; by
            default all errors count by their squares.

    Reference: L. Ljung, *System Identification*, 2nd ed., Prentice Hall 1999, section 4.2.
    """

    model: Callable
    observe: Callable = flatten_output
    initial: Callable = identity
    final: Callable = state_of
    checkpoint_every: int | None = None
    robust: Callable | None = None

    def begin(self, p, x0):
        """The first carry of a run."""
        x0, init = self.initial(p, x0), self.model(p).init
        return init(*_check_init_arguments(init, () if x0 is None else (x0,)))

    def follow(self, p, carry, e: Experiment):
        """A run from a carry: the carry at its end, and the simulated outputs (N, outputs)."""
        end, ys = rollout(
            self.model(p).step, carry, e.xs, length=len(e.y), checkpoint_every=self.checkpoint_every
        )
        return end, jax.vmap(self.observe, (None, 0, 0))(p, ys, at(e.xs, 1.0))

    def run(self, p, x0, e: Experiment):
        """The end of a run: the carry there, and the simulated outputs (N, outputs)."""
        return self.follow(p, self.begin(p, x0), e)

    def first(self, p, x0, e: Experiment):
        """What is observed at the initial state, (outputs,)."""
        before = jax.tree.map(lambda x: x[0], e.xs)
        return self.observe(p, self.initial(p, x0), at(before, 0.0))

    def errors(self, p, x0, e: Experiment):
        """y − ŷ at every sample, (N, outputs) or with a row for y0, 0 where missing; and
        the state after the last step, shaped as x0."""
        end, simulated = self.run(p, x0, e)
        errors = residual_or_zero(e.y, simulated)
        if e.y0 is not None:
            errors = jnp.concatenate([residual_or_zero(e.y0, self.first(p, x0, e))[None], errors])
        return errors, self.final(end)


def residual_or_zero(measured, simulated):
    """y − ŷ (…, outputs), 0 where y is missing."""
    if simulated.shape != measured.shape:
        raise ValueError(
            f"observe: expected {measured.shape[-1]} outputs as the record has, "
            f"got shape {simulated.shape[measured.ndim - 1 :]}"
        )
    missing = jnp.isnan(measured)
    return jnp.where(missing, 0, jnp.where(missing, 0, measured) - simulated)


@dataclass(frozen=True)
class Prediction:
    """The negative log-likelihood of a record, by the innovations of a filter.

        −ℓ(θ) = ½ Σ_k [v_kᵀ S_k⁻¹ v_k + log |2π S_k|]

    Args:
        model: ``model(p) -> Stepper``, any filter of the project, whose step takes the
            observations and emits ``loglik`` and ``innovation``.
        initial: ``initial(p, x0)``, the prior that the filter's ``init`` takes.
        checkpoint_every: for long records that a gradient goes back through, see `rollout`.

    An `Experiment` carries what the filter's step takes as ``xs``, and as y the
    observations that are in it.

    Reference: A. C. Harvey, *Forecasting, Structural Time Series Models and the Kalman
    Filter*, Cambridge 1989, section 3.4.
    """

    model: Callable
    initial: Callable = identity
    checkpoint_every: int | None = None

    def begin(self, p, x0):
        """The first carry of a run."""
        init = self.model(p).init
        return init(*_check_init_arguments(init, (self.initial(p, x0),)))

    def follow(self, p, carry, e: Experiment):
        """A run from a carry: the carry at its end, and what the filter emits."""
        return rollout(
            self.model(p).step, carry, e.xs, length=len(e.y), checkpoint_every=self.checkpoint_every
        )

    def run(self, p, x0, e: Experiment):
        return self.follow(p, self.begin(p, x0), e)

    def loss(self, p, x0, e: Experiment):
        """−ℓ(θ), a scalar."""
        return -jnp.sum(self.run(p, x0, e)[1].loglik)

    def errors(self, p, x0, e: Experiment):
        """The innovations, (N, outputs), 0 where missing; and the filter's last carry."""
        end, ys = self.run(p, x0, e)
        return jnp.where(jnp.isnan(ys.innovation), 0, ys.innovation), end


Objective = Any


def is_likelihood(objective) -> bool:
    """Whether an objective is a log-likelihood, not a sum of squares."""
    return hasattr(objective, "loss")


def check_squares(objective, use: str) -> None:
    """Nothing, where an objective is a sum of squares over whole records.

    Raises:
        ValueError: it is a likelihood, is cut into windows, or is no objective.
    """
    if is_likelihood(objective) or not hasattr(objective, "errors"):
        raise ValueError(f"objective: expected a simulation {use}, got {type(objective).__name__}")


@dataclass(frozen=True)
class Truncated:
    """An objective whose gradient goes back through one window of a record at a time.

        θ ← θ − step(∂L_w/∂θ),   s_w = the end of window w − 1, held

    Experiments lie side by side: window w of each of them makes one step of the optimiser,
    which sees the sum over the samples, divided by how many the window could hold: so each
    sample of a record counts alike. Where none is left in a window of a batch there is no step.
    Initial states that are free move with the first window alone. A window as long as the
    records is the whole gradient. Schedules count steps: at most
    ⌈experiments / batch⌉ ⌈longest / window⌉ in a pass.

    Args:
        objective: `Simulation` or `Prediction`.
        window: samples in a window.
        batch: experiments side by side, drawn anew in every pass until all had their turn;
            None is all, always.
        seed: of the draw.

    Reference: R. J. Williams and J. Peng, Neural Computation 2 (1990) 490-501.
    """

    objective: Any
    window: int
    batch: int | None = None
    seed: int = 0

    def __post_init__(self):
        check.positive("window", self.window)
        if self.batch is not None:
            check.positive("batch", self.batch)
