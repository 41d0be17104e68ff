"""Many members, each from its own start, trained in one compiled program."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from sim.fit.problem.assemble import build_problem, build_validation_problem, split_states
from sim.fit.problem.errors import divergence_error
from sim.fit.problem.fingerprint import check_fingerprint, check_same_state, fingerprint
from sim.fit.problem.objectives import Objective, whole_objective
from sim.fit.search import batched
from sim.fit.search.loop import is_running, patience_or_default, run_search
from sim.fit.solvers.choose import choose_solver
from sim.records.experiment import Experiment, validate_experiments


class Ensemble(NamedTuple):
    """The result of `ensemble`, M members along the first axis.

    Attributes:
        params: the best parameters of each member.
        states: the initial state of each experiment, (M, …).
        loss: (steps + 1, M), as of `Fit`; a member that has ended keeps its last.
        validation: (steps + 1, M), the losses on the validation experiments, or None.
        best: (M,), the smallest loss of each, of the validation experiments if there are any.
        finite: (M,), which members began with a finite loss; the others are as they began.
        message: how they ended, in words.
        search: the whole state of the search, one pytree, from which `ensemble` goes on.
    """

    params: Any
    states: tuple[Any, ...]
    loss: np.ndarray
    validation: np.ndarray | None
    best: np.ndarray
    finite: np.ndarray
    message: str
    search: batched.BatchState


def ensemble(
    objective,
    starts: Any,
    experiments: Experiment | Sequence[Experiment],
    *,
    parameters: Mapping[str, Any] | None = None,
    states: Any = None,
    free_states: bool | None = None,
    state_kinds: Mapping[str, Any] | None = None,
    solver: Any = None,
    validation: Experiment | Sequence[Experiment] | None = None,
    patience: int | None = None,
    steps: int = 100,
    tolerance: float = 1e-9,
    search: Any = None,
    report: Callable[[int, np.ndarray], Any] | None = None,
    on_state: Callable[[batched.BatchState, np.ndarray, np.ndarray | None], bool] | None = None,
) -> Ensemble:
    """`fit` from several starts side by side, every member by itself:

        min_{θᵢ} ½ Σ_k |W (y_k − ŷ_k(θᵢ))|²,   i = 1 … M

    Each has its own optimiser, and its own early stopping. Members differ by their starts;
    their results spread where the records say little. The weight W of an output is the
    inverse of its standard deviation; `fit` weights again by the noise, this does not.

    Args:
        objective: as `fit` takes it; `Truncated` of it trains in windows and batches.
        starts: parameters with a leading axis of members, as
            ``jax.vmap(lambda key: gru_params(key, 1, 8))(keys)`` makes them.
        experiments, parameters, states, free_states, state_kinds, solver, validation,
            patience, steps, tolerance: as `fit` takes them, the same for all members.
        search: the ``search`` of an `Ensemble` to go on from, bit for bit.
        report: called after each evaluation with its number and the losses (M,).
        on_state: as `fit` takes it, with the state of all members and their losses (M,).

    Returns:
        An `Ensemble`.

    Raises:
        ValueError: as `fit`; or the starts have no leading axis, no member is finite at its
            start, or the search is of other members, of another problem or solver.

    Reference: B. Lakshminarayanan et al., "Simple and scalable predictive uncertainty
    estimation using deep ensembles", NeurIPS 2017.

    >>> from sim import Stepper, rollout
    >>> from sim.fit import Simulation
    >>> def model(p):   # s' = a s + u
    ...     return Stepper(jnp.asarray, lambda s, u: 2 * (p["a"] * s + u,))
    >>> u = jnp.asarray(np.random.default_rng(0).normal(size=50))
    >>> e = Experiment(u, rollout(model({"a": 0.8}).step, jnp.asarray(0.0), u)[1][:, None])
    >>> starts = {"a": jnp.array([0.1, 0.5, 0.9])}
    >>> ensemble(Simulation(model), starts, e, states=1.0).params["a"].round(6).tolist()
    [0.8, 0.8, 0.8]
    """
    solver = choose_solver(objective, solver)
    count = _count_members("starts", starts)
    experiments = validate_experiments(experiments)
    training_states, validation_states = split_states(states, validation)
    problems, zs = zip(
        *(
            build_problem(
                whole_objective(objective),
                jax.tree.map(lambda leaf, i=i: jnp.asarray(leaf)[i], starts),
                experiments,
                parameters,
                training_states,
                free_states,
                state_kinds,
                validation is not None,
            )
            for i in range(count)
        ),
        strict=True,
    )
    problem, fields, zs = problems[0], batched.stack_fields(problems), jnp.stack(zs)
    if validation is not None:
        validation = build_validation_problem(problem, validation, validation_states)
    patience = patience_or_default(patience, validation)
    of_problem = fingerprint(replace(problem, start=fields.start), validation)
    given = solver, problem, validation, fields
    if search is None:
        search, value = batched.init_members(*given, zs)
        if not np.asarray(search.finite).any():
            raise divergence_error(
                problem,
                zs[0],
                "starts: expected one from which the model stays finite "
                f"over the records, got {count} that diverge",
            )
        search = search._replace(fingerprint=of_problem)
    else:
        _check_resumable(search, of_problem, given, zs)
        value = batched.monitored_losses(*given, search.search)
    losses = [np.asarray(batched.member_losses(solver, search.search))]
    validation_losses = [np.asarray(value)]
    search, steps = run_search(
        partial(_advance, given, tolerance),
        search,
        losses,
        validation_losses,
        is_running=lambda search, steps: (
            is_running(search, steps, patience) & np.asarray(search.finite)
        ),
        steps=steps,
        report=report,
        on_state=on_state,
    )
    params, x0 = batched.member_parameters(problem, fields, search.best.z)
    return Ensemble(
        jax.tree.map(np.asarray, params),
        tuple(x0),
        np.stack(losses),
        None if validation is None else np.stack(validation_losses),
        np.asarray(search.best.loss),
        np.asarray(search.finite),
        batched.describe(search, steps, patience),
        search,
    )


def _advance(given, tolerance, search: batched.BatchState, running):
    """All members one evaluation further, their losses (M,), and those of validation or None."""
    solver, _, validation, _ = given
    members = search._replace(fingerprint=None)
    members, value = batched.step_members(*given, members, jnp.asarray(running), tolerance)
    losses = np.asarray(batched.member_losses(solver, members.search))
    search = members._replace(fingerprint=search.fingerprint)
    return search, losses, None if validation is None else np.asarray(value)


def _check_resumable(search, of_problem, given, zs) -> None:
    """Raise ValueError unless it is a search of these members on this problem."""
    z = search.search.z if isinstance(search, batched.BatchState) else None
    if np.shape(z) != zs.shape:
        raise ValueError(
            f"search: expected that of {len(zs)} members with {zs.shape[1]} unknowns each, got "
            f"{type(search).__name__ if z is None else 'one of shape ' + str(z.shape)}"
        )
    check_fingerprint(search.fingerprint, of_problem)
    expected = batched.init_members.eval_shape(*given, zs)[0]
    check_same_state(search.search, expected.search)
    check_same_state(search._replace(fingerprint=None), expected)


class Spread(NamedTuple):
    """Mean and standard deviation over members, (N, outputs) each."""

    mean: jax.Array
    sd: jax.Array


def simulate_members(
    objective, params: Any, experiment: Experiment, state: Any = None, finite: Any = None
) -> Spread:
    """Mean and standard deviation of a free run over the members of an ensemble:

        ȳ = Σᵢ ŷᵢ / M,   s² = Σᵢ |ŷᵢ − ȳ|² / (M − 1)

    Args:
        objective: a `Simulation`, or `Truncated` of one.
        params: with a leading axis of members, as of `Ensemble`.
        experiment: the input, and the number of samples.
        state: the initial state as `Simulation` takes it, the same for all members.
        finite: (M,), which members count, as of `Ensemble`; None is all.

    Returns:
        `Spread`; of one member the standard deviation is 0.

    Raises:
        ValueError: no leading axis, no member that counts, or a likelihood.

    Reference: as `ensemble`.

    >>> from sim import Stepper
    >>> from sim.fit import Simulation
    >>> def gain(p):
    ...     return Stepper(lambda: (), lambda c, u: (c, p * u))
    >>> e = Experiment(jnp.ones(2), jnp.zeros((2, 1)))
    >>> mean, sd = simulate_members(Simulation(gain), jnp.array([1.0, 2.0, 3.0]), e)
    >>> mean[:, 0].tolist(), sd[:, 0].tolist()
    ([2.0, 2.0], [1.0, 1.0])
    """
    objective = whole_objective(objective)
    if not isinstance(objective, Objective) or objective.is_likelihood:
        raise ValueError(f"objective: expected a Simulation, got {type(objective).__name__}")
    count = _count_members("params", params)
    finite = np.ones(count, bool) if finite is None else np.asarray(finite)
    if finite.shape != (count,) or not finite.any():
        raise ValueError(
            f"finite: expected a flag for each of {count} members, one true at least, got {finite}"
        )
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf)[np.flatnonzero(finite)], params)
    ys = _run_members(objective, params, experiment, state)
    sd = jnp.std(ys, axis=0, ddof=1) if len(ys) > 1 else jnp.zeros_like(ys[0])
    return Spread(jnp.mean(ys, axis=0), sd)


@partial(jax.jit, static_argnums=0)
def _run_members(objective, params, experiment, state):
    return jax.vmap(lambda p: objective.run(p, state, experiment)[1])(params)


def _count_members(name, params):
    """M, the leading axis of every leaf.

    Raises:
        ValueError: the leaves have none, or different ones.
    """
    counts = {np.shape(leaf)[:1] for leaf in jax.tree.leaves(params)}
    if len(counts) != 1 or counts == {()} or counts == {(0,)}:
        got = ", ".join(str(c[0]) if c else "none" for c in sorted(counts)) or "no parameters"
        raise ValueError(f"{name}: expected one leading axis, of the members, got {got}")
    return counts.pop()[0]
