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
    """A fit of few parameters, then of more, each from where the one before ended.

        θ⁽ⁱ⁾ = argmin L over the parameters of stages 1 … i,   from θ⁽ⁱ⁻¹⁾

    The linear part of a model first, then its nonlinear terms: the first searches have few
    local minima, and the last begins near its own.

    Args:
        objective, start, experiments, parameters: as `fit` takes them.
        stages: for each stage, dotted names of parameters that it sets free, or of parts of
            the pytree. The others are fixed at the start until their stage; those in no stage
            are set free in the last. Tied parameters follow in every stage.
        options: of `fit`, for all stages; ``steps`` count for each, and a stage begins with
            the ``states`` of the stage before.

    Returns:
        The `Fit` of the last stage, with the losses and the messages of all.

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
    check_stages(stages, start, parameters)
    if options.get("search") is not None:
        raise ValueError("search: expected none, as stages begin with their first, got one")
    layout = parameter_layout(start, parameters)[0]
    losses, validation_losses, messages = [], [], []
    for i in range(len(stages)):
        fixed = _fixed_until_stage(layout, stages[: i + 1], i + 1 == len(stages))
        kinds = dict(parameters or {}) | fixed
        result = fit(objective, start, experiments, parameters=kinds, **options)
        # The first loss of a stage is the last one of the stage before.
        losses.append(result.loss[bool(i) :])
        if result.validation is not None:
            validation_losses.append(result.validation[bool(i) :])
        messages.append(result.message)
        # A search may round a parameter onto its bound, from where the next cannot begin.
        start = clip_to_start(layout, result.params, start)
        if "states" in options:
            given = options["states"]
            given = given if isinstance(given, list) else [given] * len(result.states)
            state_layout = result.problem.states.layout
            options["states"] = [
                clip_to_start(state_layout, *pair)
                for pair in zip(result.states, given, strict=True)
            ]
    message = f"{len(stages)} stage{'s' * (len(stages) > 1)}: " + "; then ".join(messages)
    validation = np.concatenate(validation_losses) if validation_losses else None
    return result._replace(loss=np.concatenate(losses), validation=validation, message=message)


def check_stages(stages: Sequence[Sequence[str]], start: Any, parameters=None) -> None:
    """Raise ValueError unless the stages suit the start, as in `fit_in_stages`.

    >>> check_stages([["a"], ["b"]], {"a": 1.0, "b": 2.0})
    """
    if not stages or not all(stages) or any(isinstance(s, str) for s in (stages, *stages)):
        raise ValueError(f"stages: expected lists of names, at least one in each, got {stages!r}")
    layout = parameter_layout(start, parameters)[0]
    for name in (name for stage in stages for name in stage):
        if not any(_is_among(leaf, [name]) for leaf in layout.names):
            raise ValueError(f"stages: there is no {name!r}; {suggest(name, layout.names)}")
    fixed = _fixed_until_stage(layout, stages[:1], len(stages) == 1)
    rows = zip(layout.names, layout.kinds, strict=True)
    if not any(name not in fixed and not isinstance(kind, Fixed | Tied) for name, kind in rows):
        raise ValueError(
            "stages: expected a first stage with a parameter to search, got "
            f"{', '.join(stages[0])}, fixed or tied"
        )


def _fixed_until_stage(layout: ParameterLayout, stages, last: bool) -> dict[str, Fixed]:
    """The parameters that no stage so far sets free; tied ones follow without it."""
    if last:
        return {}
    free = [name for stage in stages for name in stage]
    rows = zip(layout.names, layout.kinds, strict=True)
    return {n: Fixed() for n, kind in rows if not (_is_among(n, free) or isinstance(kind, Tied))}


def _is_among(name, free):
    """Whether a leaf has one of the names, or lies in a part of the pytree that has."""
    return any(name == f or name.startswith((f"{f}.", f"{f}[")) for f in free)
