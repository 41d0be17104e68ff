"""A record, the options with which networks are trained on it, and stored networks run."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np

from experiments.learn import saved
from sim import rollout

CONF = Path(__file__).resolve().parents[3] / "conf"
NETWORKS = sorted(
    p.stem for p in (CONF / "network").glob("*.yaml") if p.stem not in ("own", "correction")
)
LEARN = (
    "task=learn",
    "output.figure=null",
    "data.path=r.csv",
    "data.train=[{name: training, rows: [0, 60]}]",
)
HELD = "data.validation=[{name: validation, rows: [60, 100], known: 10}]"
SMALL = (
    "network=elman",
    "network.hidden=2",
    "learn.warmup=10",
    "learn.passes=2",
    "learn.window=30",
)
PLANT = ["network=state_space", "network.hidden=[3]", "learn=least_squares", "learn.warmup=10"]


def write_record(path, columns):
    np.savetxt(
        path,
        np.stack(list(columns.values()), 1),
        delimiter=",",
        header=",".join(columns),
        comments="",
    )


def simulated(name, u, **given):
    """What the stepper of a file makes of an input from rest."""
    stepper = saved.load_network(name, **given)
    return np.asarray(rollout(stepper.step, stepper.init(), jnp.asarray(u)[:, None])[1])[:, 0]
