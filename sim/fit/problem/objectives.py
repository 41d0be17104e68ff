"""What a search minimises: the errors of a simulation, or the −log-likelihood of a filter."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

import jax
import jax.numpy as jnp

from sim import check, rollout
from sim.inputs import at
from sim.records.experiment import Experiment


@runtime_checkable
class Objective(Protocol):
    """What `fit` needs of an objective. Any class with these members is one.

    ``p`` are the parameters, ``x0`` the initial state of a record and ``e`` its `Experiment`.
    Instances are hashable: those that are equal share what is compiled. `Truncated` needs
    `begin` and `follow` too, as `Simulation` and `Prediction` have them.

    Attributes:
        is_likelihood: whether the sum of ``loss(p, x0, e)`` over the records is minimised,
            instead of ½ Σ r̃(w · errors)².
        robust: r̃(r) of weighted errors r, as `Huber`; None for r̃(r) = r.
    """

    is_likelihood: bool
    robust: Callable | None

    def errors(self, p, x0, e: Experiment) -> tuple[Any, Any]:
        """y − ŷ (N, outputs), or with a row for y0, 0 where y is missing; and the state after
        the last step."""
        ...


@runtime_checkable
class Likelihood(Objective, Protocol):
    """An `Objective` with ``is_likelihood = True``."""

    def loss(self, p, x0, e: Experiment) -> Any:
        """−log-likelihood of the record, a scalar, constants included."""
        ...


def check_objective(objective) -> None:
    """Raise ValueError unless it is an objective over whole records."""
    if isinstance(objective, Objective) and (
        isinstance(objective, Likelihood) or not objective.is_likelihood
    ):
        return
    raise ValueError(
        "objective: expected Simulation, Prediction or Truncated of either, "
        f"got {type(objective).__name__}"
    )


def check_simulation(objective, use: str) -> None:
    """Raise ValueError unless it is an objective of squares over whole records."""
    if not isinstance(objective, Objective) or objective.is_likelihood:
        raise ValueError(f"objective: expected a simulation {use}, got {type(objective).__name__}")


def flatten_output(p, y, u):
    """All numbers of what a step emits, in the order of its leaves."""
    return jnp.concatenate([jnp.ravel(leaf) for leaf in jax.tree.leaves(y)])


def identity(p, x0):
    """x0."""
    return x0


def state_of(carry):
    """The y of an integrator's carry, or all of another stepper's carry."""
    return getattr(carry, "y", carry)


def _check_init_arguments(init, state: tuple) -> None:
    """Raise ValueError unless a stepper's ``init`` takes the state, which is one or none."""
    try:
        inspect.signature(init).bind(*state)
    except TypeError:
        if state:
            raise ValueError("states: expected None, as the model takes none, got one") from None
        raise ValueError(
            "states: expected an initial state, which the model takes, got None"
        ) from None
    except ValueError:  # a built-in function has no signature
        pass


@dataclass(frozen=True)
class Simulation:
    """The errors y − ŷ of a free run: the output errors.

        ŷ_k = h(θ, s_k, u_k),   s_{k+1} = step(θ; s_k, u)

    Args:
        model: ``model(p) -> Stepper``, a stepper of any kind (an integrator over a vector
            field, a network, a filter, a cascade) for parameters p, any pytree.
        observe: ``observe(p, y, u) -> (outputs,)``, the measured outputs, from what the
            stepper emits and the input u at that instant; by default all that it emits.
        initial: ``initial(p, x0)``, what the stepper's ``init`` takes; by default x0.
        final: ``final(carry)``, the x0 of a run that continues from that carry; by default
            the y of an integrator's carry, or all of another stepper's.
        checkpoint_every: saves memory where a gradient goes back through a long record, see
            `rollout`.
        robust: `Huber()` or `StudentT()`, which limit the influence of gross errors; by
            default all errors count by their squares.

    Reference: L. Ljung, *System Identification*, 2nd ed., Prentice Hall 1999, section 4.2.
    """

    model: Callable
    observe: Callable = flatten_output
    initial: Callable = identity
    final: Callable = state_of
    checkpoint_every: int | None = None
    robust: Callable | None = None
    is_likelihood: ClassVar[bool] = False

    def begin(self, p, x0):
        """The first carry of a run."""
        x0, init = self.initial(p, x0), self.model(p).init
        arguments = () if x0 is None else (x0,)
        _check_init_arguments(init, arguments)
        return init(*arguments)

    def follow(self, p, carry, e: Experiment):
        """Run from a carry: the carry at the end, and the simulated outputs (N, outputs)."""
        end, ys = rollout(
            self.model(p).step, carry, e.xs, length=len(e.y), checkpoint_every=self.checkpoint_every
        )
        return end, jax.vmap(self.observe, (None, 0, 0))(p, ys, at(e.xs, 1.0))

    def run(self, p, x0, e: Experiment):
        """Run from an initial state: the last carry, and the simulated outputs (N, outputs)."""
        return self.follow(p, self.begin(p, x0), e)

    def first(self, p, x0, e: Experiment):
        """The output at the initial state, (outputs,)."""
        u = jax.tree.map(lambda x: x[0], e.xs)
        return self.observe(p, self.initial(p, x0), at(u, 0.0))

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
    """The negative log-likelihood of a record, from the innovations of a filter.

        −ℓ(θ) = ½ Σ_k [v_kᵀ S_k⁻¹ v_k + log |2π S_k|]

    Args:
        model: ``model(p) -> Stepper``, any filter of the project, whose step takes the
            observations and emits ``loglik`` and ``innovation``.
        initial: ``initial(p, x0)``, the prior that the filter's ``init`` takes.
        checkpoint_every: as of `Simulation`.

    The ``xs`` of an `Experiment` are what the filter's step takes, and its y are the
    observations among them.

    Reference: A. C. Harvey, *Forecasting, Structural Time Series Models and the Kalman
    Filter*, Cambridge 1989, section 3.4.
    """

    model: Callable
    initial: Callable = identity
    checkpoint_every: int | None = None
    robust: ClassVar[None] = None
    is_likelihood: ClassVar[bool] = True

    def begin(self, p, x0):
        """The first carry of a run."""
        init, prior = self.model(p).init, self.initial(p, x0)
        _check_init_arguments(init, (prior,))
        return init(prior)

    def follow(self, p, carry, e: Experiment):
        """Run from a carry: the carry at the end, and what the filter emits."""
        return rollout(
            self.model(p).step, carry, e.xs, length=len(e.y), checkpoint_every=self.checkpoint_every
        )

    def run(self, p, x0, e: Experiment):
        """Run from a prior: the last carry, and what the filter emits."""
        return self.follow(p, self.begin(p, x0), e)

    def loss(self, p, x0, e: Experiment):
        """−ℓ(θ), a scalar."""
        return -jnp.sum(self.run(p, x0, e)[1].loglik)

    def errors(self, p, x0, e: Experiment):
        """The innovations, (N, outputs), 0 where missing; and the filter's last carry."""
        end, ys = self.run(p, x0, e)
        return jnp.where(jnp.isnan(ys.innovation), 0, ys.innovation), end


@dataclass(frozen=True)
class Truncated:
    """An objective whose gradient goes back through one window of a record at a time.

        θ ← θ − step(∂L_w/∂θ),   s_w = the end of window w − 1, held

    Experiments run side by side: window w of each of them makes one step of the optimiser.
    Its loss is the sum over the samples, divided by how many the window can hold, so that each
    sample of a record counts alike. A window of a batch without any sample makes no step.
    Initial states that are free move with the first window alone. A window as long as the
    records gives the whole gradient. Schedules count steps: at most
    ⌈experiments / batch⌉ ⌈longest / window⌉ in a pass.

    Args:
        objective: `Simulation` or `Prediction`.
        window: samples in a window.
        batch: experiments side by side, in a new random order in every pass; None is all.
        seed: of the random order.

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


def whole_objective(objective):
    """The objective over whole records: that which `Truncated` cuts, or the objective itself."""
    return objective.objective if isinstance(objective, Truncated) else objective
