"""How far a simulation is from its measurement, gathered while the run goes on."""

import csv
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np


class RunningErrors:
    """RMSE = √(mean (simulated − measured)²) for each pair, over the samples measured."""

    def __init__(self, measured: Mapping[str, str]):
        self.measured = measured
        self.sums = dict.fromkeys(measured, (0, 0.0))

    def add(self, dataset: Any) -> None:
        for quantity, name in self.measured.items():
            if quantity not in dataset:  # a forecast, or what diverged before it was smoothed
                continue
            simulated = dataset[quantity].values.reshape(-1).astype(float)
            error = simulated - dataset[name].values
            error = error[np.isfinite(error)]
            count, total = self.sums[quantity]
            self.sums[quantity] = count + len(error), total + float(error @ error)

    def scores(self) -> dict[str, dict[str, float]]:
        rmse = {name: math.sqrt(total / n) for name, (n, total) in self.sums.items() if n}
        return {"rmse": rmse} if rmse else {}


def write_metrics(
    path: Path, scores: Mapping[str, Mapping[str, float]], quantities: Mapping
) -> None:
    """Write one row for each metric and quantity, with its units."""
    from sim.files import replace_file

    with (
        replace_file(path) as temporary,
        open(temporary, "w", newline="", encoding="utf-8") as file,
    ):
        rows = csv.writer(file)
        rows.writerow(["metric", "quantity", "value", "units"])
        for metric, values in scores.items():
            for quantity, value in values.items():
                units = quantities[quantity][0] if quantity in quantities else "1"
                rows.writerow([metric, quantity, repr(value), units])
