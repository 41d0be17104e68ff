"""From a simple model to a rich one: parameters set free in stages."""

from collections.abc import Mapping, Sequence
from typing import Any

from sim.fit.found import Fit
from sim.fit.fit import fit
from sim.fit.kinds import Fixed
from sim.fit.parameters import declare, inside


def staged(
    objective,
    start: Any,
    experiments,
    stages: Sequence[Sequence[str]],
    *,
    parameters: Mapping[str, Any] | None = None,
    **options,
) -> Fit:
    """A fit of few parameters, then of more, each from where the one before has ended.

        θ⁽ⁱ⁾ = argmin L over the parameters of stages 1 … i,   from θ⁽ⁱ⁻¹⁾

    The linear part of a model first, then what bends it: the first searches have few
    valleys, and the last begins near its own.

    Args:
        objective, start, experiments, parameters: as `fit` takes them.
        stages: for each stage, dotted names that it sets free, or of parts of the pytree.
            The others are held at the start, until their stage; those in no stage join in
            the last.
        options: of `fit`, for all stages; ``states`` go on from stage to stage too.

    Returns:
        The `Fit` of the last stage, with the losses of that stage.

    Raises:
        ValueError: no stage, an empty one, or no such name.

    Reference: J. Paduart et al., "Identification of nonlinear systems using polynomial
    nonlinear state space models", Automatica 46 (2010) 647-656.

    >>> import jax.numpy as jnp
    >>> from sim import Stepper, rollout
    >>> from sim.fit import Experiment, Simulation
    >>> def model(p):
    ...     return Stepper(jnp.asarray, lambda s, u: 2 * (p["a"] * s - p["b"] * s**3 + u,))
    >>> u = jnp.sin(jnp.arange(60.0))
    >>> y = rollout(model({"a": 0.8, "b": 0.05}).step, jnp.asarray(0.0), u)[1]
    >>> found = staged(Simulation(model), {"a": 0.5, "b": 0.0}, Experiment(u, y[:, None]),
    ...                [["a"], ["b"]], states=0.0)
    >>> round(float(found.params["a"]), 6), round(float(found.params["b"]), 6)
    (0.8, 0.05)
    """
    if not stages or not all(stages):
        raise ValueError(f"stages: expected lists of names, at least one in each, got {stages!r}")
    kinds = dict(parameters or {})
    declared = declare(start, {**kinds, **{name: kinds.get(name, "free") for s in stages for name in s}})[0]
    for i in range(len(stages)):
        free = [name for stage in stages[: i + 1] for name in stage]
        last = i + 1 == len(stages)
        held = {} if last else {n: Fixed() for n in declared.names if not _among(n, free)}
        found = fit(objective, start, experiments, parameters=kinds | held, **options)
        # A search may round what it moves onto a bound, from where the next one cannot begin.
        start = inside(declared, found.params, start)
        if "states" in options:
            given = options["states"]
            given = given if isinstance(given, list) else [given] * len(found.states)
            own = found.problem.states.declared
            options["states"] = [
                inside(own, *pair) for pair in zip(found.states, given, strict=True)
            ]
    return found


def _among(name, free):
    return any(name == f or name.startswith((f"{f}.", f"{f}[")) for f in free)
