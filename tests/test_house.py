"""The house, as far as a machine can hold it: names, documentation, lengths."""

from pathlib import Path

from tests import house

ROOT = Path(__file__).resolve().parent.parent


def test_no_function_is_named_by_a_bare_participle():
    assert not [str(function) for function in house.participles(ROOT)]


def test_every_public_function_is_documented():
    assert not [str(function) for function in house.without_docstring(ROOT)]


def test_no_file_outgrows_one_sitting():
    assert not [str(path) for path in house.long_files(ROOT)]


def test_no_private_name_is_taken_from_another_module():
    assert not house.private_uses(ROOT)
