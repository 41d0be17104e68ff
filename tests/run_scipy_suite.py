"""scipy's own tests of the filter functions, run with ours in their place.

    python -m tests.run_scipy_suite [pytest options]

Every function of filters.iir that scipy.signal has under the same name takes its place,
throughout scipy.signal, before the tests are collected, and the warning BadCoefficients too;
what a function returns becomes NumPy. Tests are counted that call one of ours.

Against scipy 1.17.1 (✗ failed):

    lfilter, lfiltic in float32, float64, complex64, complex128   152 passed     4 ✗  (1)
    the same in long double, real and complex                      20 passed    58 ✗  (1) (2)
    lfilter_zi                                                      5 passed
    sosfilt, sosfilt_zi                                            36 passed
    filtfilt, sosfiltfilt                                          10 passed
    resampling by way of filtfilt                                  15 passed
    lfilter: objects, whole numbers                                 1 passed     1 ✗  (3)
    decimation, deconvolution and others by way of ours            16 passed
    design, order, response, conversion                           229 passed     3 ✗  (4) (5)
    all                                                           484 passed    66 ✗

(1) One a dtype asks for an error that begins "Parameter b is not"; ours names b first.
(2) JAX has no long double and no objects: a TypeError that says so.
(3) Whole numbers are filtered as floats, where scipy refuses them.
(4) The edges of a band-stop in buttord and cheb2ord (2) are those that scipy's search comes
    within 1e-5 of; the tests hold its numbers to 1e-6.
(5) A pass band that ends at 0 (1) is a ValueError; scipy warns and returns order 0.
"""

import importlib
import inspect
import os
import pkgutil
import sys
import tempfile
from collections import Counter, defaultdict
from functools import wraps
from pathlib import Path

import jax
import numpy as np
import pytest
import scipy.signal
from scipy._lib._array_api import xp_capabilities_table

import filters.iir

FILES = ("test_signaltools.py", "test_filter_design.py")


def ours():
    """The functions of filters.iir that scipy.signal has too, by name."""
    found = {}
    for module in pkgutil.walk_packages(filters.iir.__path__, "filters.iir."):
        module = importlib.import_module(module.name)
        for name, function in vars(module).items():
            theirs = inspect.isfunction(getattr(scipy.signal, name, None))
            ours = inspect.isfunction(function) and function.__module__.startswith("filters.iir")
            if theirs and ours and not name.startswith("_"):
                found[name] = function
    return found


def _everywhere(name, instead):
    """The new value of a name, in each module of scipy.signal that has it."""
    for module in [m for k, m in sys.modules.items() if k.startswith("scipy.signal")]:
        if callable(vars(module).get(name)):
            setattr(module, name, instead)


class Suite:
    """The plugin: puts ours in place, and keeps who called what and how it ended."""

    def __init__(self):
        self.called = set()
        self.outcomes = defaultdict(Counter)
        self.reasons = {}
        for name, function in ours().items():
            self._replace(name, function)
        _everywhere("BadCoefficients", filters.iir.BadCoefficients)

    def _replace(self, name, function):
        theirs = getattr(scipy.signal, name)

        @wraps(theirs)
        def instead(*args, **kwargs):
            self.called.add(name)
            kwargs.pop("xp", None)
            return jax.tree.map(np.array, function(*args, **kwargs))

        xp_capabilities_table[instead] = xp_capabilities_table[theirs]
        _everywhere(name, instead)

    def pytest_runtest_setup(self, item):
        self.called.clear()

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self, item, call):
        report = (yield).get_result()
        if report.when != "call" or not self.called:
            return
        group = item.nodeid.split("::", 1)[1].rsplit("::", 1)[0].split("[")[0]
        self.outcomes[group][report.outcome] += 1
        if report.failed:
            lines = [line.strip() for line in str(call.excinfo.value).splitlines() if line.strip()]
            why = f"{call.excinfo.typename}: {' '.join(lines)[:150]}"
            self.reasons[item.nodeid.split("::", 1)[1]] = why

    def table(self):
        lines = [f"{'group':40} {'passed':>7} {'failed':>7} {'skipped':>7}"]
        for group, n in sorted(self.outcomes.items()):
            if "::" in group or group[:4] == "Test" or n["failed"]:
                lines.append(f"{group:40} {n['passed']:7} {n['failed']:7} {n['skipped']:7}")
        total = sum(self.outcomes.values(), Counter())
        lines.append(f"{'all':40} {total['passed']:7} {total['failed']:7} {total['skipped']:7}")
        return "\n".join(lines + [f"\n{test}\n    {why}" for test, why in self.reasons.items()])


def main():
    jax.config.update("jax_enable_x64", True)
    suite = Suite()
    folder = Path(scipy.signal.__file__).parent / "tests"
    with tempfile.TemporaryDirectory() as root:
        code = pytest.main(
            [
                *(str(folder / name) for name in FILES),
                *("-q", "--no-header", "--tb=no", "--no-summary", "-p", "no:cacheprovider"),
                *("-c", os.devnull, "--rootdir", root, *sys.argv[1:]),
            ],
            plugins=[suite],
        )
    print(suite.table())
    return code


if __name__ == "__main__":
    sys.exit(main())
