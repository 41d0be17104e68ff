"""A model of the command line as an objective of `sim.fit`, and the search for its parameters."""

import time as clock
from typing import Any, NamedTuple

import numpy as np

from experiments.build import build, nearest
from experiments.target import resolve


class Described(NamedTuple):
    """The objective, parameters and state that a fit starts from, and units of columns."""

    objective: Any
    start: Any
    state: Any
    units: dict[str, str]


def described(config: Any, model: Any, data: Any, dt: float) -> Described:
    """Hold a model against the data.

    Raises:
        ValueError: the model takes other inputs, or has no such quantity.
    """
    import jax
    import jax.numpy as jnp

    from sim.fit import Simulation

    if len(data.inputs) != len(model.inputs):
        raise ValueError(f"data.input: expected {len(model.inputs)} columns for {model.name} "
                         f"({', '.join(model.inputs) or 'no input'}), got {len(data.inputs)}")  # fmt: skip
    float_ = jnp.result_type(float)
    state = jax.tree.map(lambda leaf: jnp.asarray(leaf, float_), model.initial)
    field, start = _bound(model)
    factory = resolve("integrator._target_", config.integrator["_target_"], config.allow)

    def stepper(p):
        settings = {"f": field(p), "dt": dt / config.substeps}
        found = build(factory, config.integrator, "integrator", settings)
        if config.substeps == 1:
            return found
        from sim import repeat

        return found._replace(step=repeat(found.step, config.substeps))

    names, pick = _observed(model, data, state)
    units = {column: model.quantities[q].units for column, q in zip(data.inputs, model.inputs, strict=True)}
    units |= {column: model.quantities[q].units for column, q in zip(data.outputs, names, strict=True)
              if q in model.quantities}  # fmt: skip
    return Described(Simulation(stepper, pick), start, state, units)


def _bound(model):
    """The vector field as a function of its parameters, and these."""
    from jax.tree_util import Partial

    args = model.field.args
    if len(args) == 1:
        return (lambda p: Partial(model.field.func, p)), args[0]
    return (lambda p: Partial(model.field.func, *p)), args


def _observed(model, data, state):
    """What is measured of a state, one quantity for each column of output."""
    import jax.numpy as jnp

    from sim.names import leaf_names

    output = model.output

    def quantities(p, y, u):
        if output is None:
            return y
        args = (p,) if len(output.args) == 1 else output.args
        return output.func(*args, 0.0, y, u)

    u = np.zeros(len(model.inputs)) if len(model.inputs) > 1 else 0.0 if model.inputs else None
    start = model.field.args[0] if len(model.field.args) == 1 else model.field.args
    known = leaf_names(quantities(start, state, u))
    names = data.observed or tuple(known[: len(data.outputs)])
    for name in names:
        if name not in known:
            raise ValueError(f"data.observed: {model.name} has no quantity {name!r}; "
                             f"{nearest(name, known)}")  # fmt: skip
    places = [known.index(name) for name in names]

    def pick(p, y, u):
        import jax

        leaves = jax.tree.leaves(quantities(p, y, u))
        return jnp.concatenate([jnp.ravel(leaves[i]) for i in places])

    return names, pick


def searched(prepared: Any, directory: Any, resume: bool, stop: Any) -> tuple[Any, dict[str, float]]:
    """The fit, and its seconds. Its search is kept in a checkpoint, from which it goes on."""
    from sim.fit import fit
    from sim.fit.multistart import multistart
    from sim.fit.saved import load, save
    from sim.fit.shooting import shoot

    how = prepared.search
    experiments = [prepared.experiment(s) for s in prepared.data.training]
    states, free = _states(prepared, experiments)
    common = {"parameters": how.parameters, "steps": how.steps, "tolerance": how.tolerance}
    tic = clock.perf_counter()
    arguments = (prepared.objective, prepared.start, experiments)
    if how.starts > 1:
        found = multistart(*arguments, how.starts, states=states, width=how.width,
                           seed=prepared.config.seed, **common).fit  # fmt: skip
        return found, {"compile": 0.0, "fit": clock.perf_counter() - tic}
    if how.segments > 1:
        found = shoot(*arguments, how.segments, states=states, **common)
        return found, {"compile": 0.0, "fit": clock.perf_counter() - tic}
    common |= {"states": states, "free_states": free}
    found = fit(*arguments, **(common | {"steps": 0}))
    seconds, losses = {"compile": clock.perf_counter() - tic}, list(found.loss)
    path = directory / "checkpoints" / "latest.npz"
    path.parent.mkdir(exist_ok=True)
    state = load(path, found.search) if resume else found.search
    tic, done = clock.perf_counter(), -1
    while not stop() and done != int(state.search.steps) and done < how.steps:
        done = int(state.search.steps)
        common["steps"] = min(done + 5, how.steps)
        found = fit(*arguments, **common, search=state)
        losses += list(found.loss[1:])
        state = found.search
        save(path, state)
    return found._replace(loss=np.asarray(losses)), seconds | {"fit": clock.perf_counter() - tic}


def _states(prepared, experiments):
    """Initial states to start from, and whether they are searched."""
    from sim.fit.initial import initial_state

    states = [prepared.states[0]] * len(experiments)
    if prepared.search.states == "first":
        states = [
            initial_state(prepared.objective, prepared.start, e, s.part.known, x0)
            for e, s, x0 in zip(experiments, prepared.data.training, states, strict=True)
        ]
    return states, prepared.search.states == "free"
