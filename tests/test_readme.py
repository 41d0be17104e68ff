"""What the README shows runs as it is shown."""

import doctest
from pathlib import Path


def test_the_examples_of_the_readme_run():
    readme = Path(__file__).resolve().parent.parent / "README.md"
    failed, tried = doctest.testfile(str(readme), module_relative=False)
    assert tried > 15 and not failed
