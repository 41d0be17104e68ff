"""What run.json and the files of a run say of how they came to be."""

import os
import socket
from collections.abc import Mapping
from typing import Any

from experiments.cli.config import Config
from experiments.cli.provenance import commit, versions
from experiments.runs.interface import Prepared


def provenance(config: Config) -> dict[str, Any]:
    """The circumstances of a run: code, device, precision, seed and process."""
    import jax

    device = jax.devices()[0]
    return {
        "versions": versions(),
        "commit": commit(),
        "device": f"{device.platform}: {device.device_kind}",
        "precision": config.runtime.precision,
        "seed": config.seed,
        "pid": os.getpid(),
        "host": socket.gethostname(),
    }


def is_alive(run: Mapping[str, Any]) -> bool:
    """Whether the process that a run.json names is another one, still running on this host."""
    if run.get("host") != socket.gethostname():
        return False
    try:
        os.kill(run["pid"], 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return run["pid"] != os.getpid()


def file_attributes(
    config: Config, values: Mapping[str, Any], prepared: Prepared, run: Mapping[str, Any]
) -> dict[str, Any]:
    """Global attributes of the files of a run.

    Args:
        config: the run.
        values: its configuration as it is stored.
        prepared: its task.
        run: its run.json.
    """
    from omegaconf import OmegaConf

    return {
        "title": run["title"],
        "source": f"scansim {run['versions']['scansim']}",
        "versions": ", ".join(f"{name} {number}" for name, number in run["versions"].items()),
        **prepared.attributes,
        "t0": prepared.t0,
        "dt": prepared.dt,
        "substeps": config.substeps,
        "seed": config.seed,
        "precision": config.runtime.precision,
        "config": OmegaConf.to_yaml(OmegaConf.create(dict(values))),
        "config_hash": run["config_hash"],
        "commit": run["commit"],
    }
