"""Every record of a search as an `Experiment` of `sim.fit`, made once."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from experiments.identification.data import Data, SampledRecord
from experiments.records import columns


class RecordedExperiment(NamedTuple):
    """A record and its `Experiment`.

    Attributes:
        name: of its part.
        known: the number of samples at its start that tell its initial state.
        time: (T,), s.
        u, y: (T, inputs) and (T, outputs), as read.
        experiment: the same as `sim.fit` takes it.
    """

    name: str
    known: int
    time: np.ndarray
    u: np.ndarray
    y: np.ndarray
    experiment: Any


class Records(NamedTuple):
    """The records of a search.

    Attributes:
        data: names, units and published scores; and the tests, which are not open yet.
        dt: the sample interval of all records, s.
        training, validation: the records that are open before the search.
        to_experiment: ``to_experiment(u, y)``, an `Experiment`.
    """

    data: Data
    dt: float
    training: tuple[RecordedExperiment, ...]
    validation: tuple[RecordedExperiment, ...]
    to_experiment: Callable

    def open_test(self, test: SampledRecord) -> RecordedExperiment:
        """Read a test again, with its outputs.

        Raises:
            OSError, ValueError: its outputs cannot be read or used.
        """
        return _record_experiment(self.data.open_test(test), self.dt, self.to_experiment)


def build_records(data: Data, dt: float, to_experiment: Callable) -> Records:
    """Make every record of the search an `Experiment`.

    Raises:
        ValueError: a record cannot be used; the message names an argument of `sim.fit`.
    """
    training, validation = (
        tuple(_record_experiment(record, dt, to_experiment) for record in records)
        for records in (data.training, data.validation)
    )
    return Records(data, dt, training, validation, to_experiment)


def _record_experiment(record, dt, to_experiment):
    first = 0.0 if record.time is None else float(record.time[0])
    return RecordedExperiment(
        record.part.name,
        record.part.known,
        first + dt * np.arange(len(record.y)),
        record.u,
        record.y,
        to_experiment(record.u, record.y),
    )


def continuous_experiment(hold: str, dt: float, substeps: int, u: np.ndarray, y: np.ndarray) -> Any:
    """A record as the `Experiment` of a model in continuous time.

    Args:
        hold: how an input goes on between samples, as `data` takes it.
        dt: the sample interval, s.
        substeps: steps of the integrator between two samples.
        u, y: (T, inputs) and (T, outputs).
    """
    import jax.numpy as jnp

    from sim import inputs
    from sim.fit import sampled

    dtype = jnp.result_type(float)
    values = None
    if u.shape[1]:
        values = jnp.asarray(u[:, 0] if u.shape[1] == 1 else u, dtype)
    count = 2 * substeps  # a band-limited input is evaluated at the stages of all substeps
    holds = {
        "zero_order": inputs.zero_order_hold,
        "first_order": inputs.first_order_hold,
        "cubic": inputs.cubic,
        "band_limited": partial(
            inputs.band_limited, nodes=tuple(i / count for i in range(count + 1))
        ),
    }
    return sampled(dt * np.arange(len(y)), values, y.astype(dtype), holds[hold])


def discrete_experiment(u: np.ndarray, y: np.ndarray) -> Any:
    """A record as the `Experiment` of a network, whose steps are the samples."""
    import jax.numpy as jnp

    from sim.fit import Experiment

    return Experiment(*(jnp.asarray(x, jnp.result_type(float)) for x in (u, y)))


def common_interval(data: Data, dt: float | None) -> float:
    """The sample interval of all records, s.

    Args:
        data: the records.
        dt: the interval that the configuration states, or None.

    Raises:
        ValueError, OSError: a record has another interval, or none.
    """
    interval = data.dt if dt is None else dt
    if data.dt is not None and abs(interval - data.dt) > 1e-3 * data.dt:
        raise ValueError(
            f"dt: expected {data.dt:g}, the sample interval of {data.training[0].path}, "
            f"or null, got {dt:g}"
        )
    for record in (*data.training, *data.validation, *data.tests):
        interval = columns.sample_interval_of(record, interval, "data")
    return interval
