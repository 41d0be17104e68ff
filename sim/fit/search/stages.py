"""From a simple model to a rich one: parameters set free in stages."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sim.fit.parameters.constraints import Fixed, Tied
from sim.fit.parameters.layout import ParameterLayout, parameter_layout
from sim.fit.parameters.vector import clip_to_start
from sim.fit.result import Fit
from sim.fit.search.fit import fit
from sim.messages import suggest


def fit_in_stages(
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
            the last. What is tied follows in every stage.
        options: of `fit`, for all stages, ``steps`` for each; ``states`` go on from stage to
            stage too.

    Returns:
        The `Fit` of the last stage, with the losses of all and how each ended.

    Raises:
        ValueError: no stage, an empty one, no such name, a first stage that sets nothing
            free, or a ``search`` to go on from.

    Reference: J. Paduart et al., "Identification of nonlinear systems using polynomial
    nonlinear state space models", Automatica 46 (2010) 647-656.

    >>> import jax.numpy as jnp
    >>> from sim import Stepper, rollout
    >>> from sim.fit import Experiment, Simulation
    >>> def model(p):
    ...     return Stepper(jnp.asarray, lambda s, u: 2 * (p["a"] * s - p["b"] * s**3 + u,))
    >>> u = jnp.sin(jnp.arange(60.0))
    >>> y = rollout(model({"a": 0.8, "b": 0.05}).step, jnp.asarray(0.0), u)[1]
    >>> found = fit_in_stages(Simulation(model), {"a": 0.5, "b": 0.0}, Experiment(u, y[:, None]),
    ...                [["a"], ["b"]], states=0.0)
    >>> round(float(found.params["a"]), 6), round(float(found.params["b"]), 6)
    (0.8, 0.05)
    """
    declared = check_stages(stages, start, parameters)
    if options.get("search") is not None:
        raise ValueError("search: expected none, as stages begin with their first, got one")
    losses, seen, said = [], [], []
    for i in range(len(stages)):
        kinds = dict(parameters or {}) | _fixed_until_stage(
            declared, stages[: i + 1], i + 1 == len(stages)
        )
        found = fit(objective, start, experiments, parameters=kinds, **options)
        # The first loss of a stage is that with which the one before has ended.
        losses.append(found.loss[bool(i) :])
        seen.append(None if found.validation is None else found.validation[bool(i) :])
        said.append(found.message)
        # A search may round what it moves onto a bound, from where the next one cannot begin.
        start = clip_to_start(declared, found.params, start)
        if "states" in options:
            given = options["states"]
            given = given if isinstance(given, list) else [given] * len(found.states)
            own = found.problem.states.layout
            options["states"] = [
                clip_to_start(own, *pair) for pair in zip(found.states, given, strict=True)
            ]
    message = f"{len(stages)} stage{'s' * (len(stages) > 1)}: " + "; then ".join(said)
    seen = None if found.validation is None else np.concatenate(seen)
    return found._replace(loss=np.concatenate(losses), validation=seen, message=message)


def check_stages(stages: Sequence[Sequence[str]], start: Any, parameters=None) -> ParameterLayout:
    """The parameters of the last stage, where the stages suit the start.

    Raises:
        ValueError: as `fit_in_stages`.

    >>> check_stages([["a"], ["b"]], {"a": 1.0, "b": 2.0}).names
    ('a', 'b')
    """
    if not stages or not all(stages) or any(isinstance(s, str) for s in (stages, *stages)):
        raise ValueError(f"stages: expected lists of names, at least one in each, got {stages!r}")
    declared = parameter_layout(start, parameters)[0]
    for name in (name for stage in stages for name in stage):
        if not any(_is_among(own, [name]) for own in declared.names):
            raise ValueError(f"stages: there is no {name!r}; {suggest(name, declared.names)}")
    held = _fixed_until_stage(declared, stages[:1], len(stages) == 1)
    rows = zip(declared.names, declared.kinds, strict=True)
    if not any(name not in held and not isinstance(kind, Fixed | Tied) for name, kind in rows):
        raise ValueError(
            "stages: expected a first stage with a parameter to search, got "
            f"{', '.join(stages[0])}, fixed or tied"
        )
    return declared


def _fixed_until_stage(declared, stages, last):
    """What is not free yet; a tie holds by itself."""
    free = [name for stage in stages for name in stage]
    rows = zip(declared.names, declared.kinds, strict=True)
    return (
        {}
        if last
        else {n: Fixed() for n, kind in rows if not (_is_among(n, free) or isinstance(kind, Tied))}
    )


def _is_among(name, free):
    return any(name == f or name.startswith((f"{f}.", f"{f}[")) for f in free)
