"""Errors of a simulation against its measurement, and the file of metrics."""

import csv
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np


class RunningErrors:
    """RMSE = √(mean (simulated − measured)²) over the measured samples, chunk by chunk."""

    def __init__(self, references: Mapping[str, str]):
        """``references`` has, for a quantity, the name of its measurement in the dataset."""
        self.references = references
        self.sums = dict.fromkeys(references, (0, 0.0))

    def add(self, dataset: Any) -> None:
        """Take the rows of a dataset into account."""
        for quantity, name in self.references.items():
            if (
                quantity not in dataset
            ):  # as in a forecast, or where the run diverged before smoothing
                continue
            simulated = dataset[quantity].values.reshape(-1).astype(float)
            error = simulated - dataset[name].values
            error = error[np.isfinite(error)]
            count, total = self.sums[quantity]
            self.sums[quantity] = count + len(error), total + float(error @ error)

    def scores(self) -> dict[str, dict[str, float]]:
        """The RMSE of each quantity that has measured samples."""
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
