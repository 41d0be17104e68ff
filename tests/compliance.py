"""Files held to the CF conventions, by the checker of others."""

import warnings

import pytest

TIME_IS_ELAPSED = {"Coordinate variable 'time' should have standard_name='time', found: 'None'"}


def complaints(path):
    """What the CF-1.11 checker says of a NetCDF file; skips where it is not installed."""
    runner = pytest.importorskip("compliance_checker.runner")
    with warnings.catch_warnings(action="ignore"):
        runner.CheckSuite.load_all_available_checkers()
        file = runner.CheckSuite().load_dataset(str(path))
        groups, failed = runner.CheckSuite().run_all(file, ["cf:1.11"])["cf:1.11"]
        file.close()
    assert not failed
    return {message for group in groups for message in group.msgs}
