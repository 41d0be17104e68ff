"""The keys of a configuration from which the arguments of `sim.fit` come."""

from collections.abc import Mapping

RECORD_KEYS = {  # arguments that come from the records and the model
    "experiments": "data",
    "n": "data: known",
    "u": "data.input",
    "y": "data.output",
    "t": "data.time",
    "observe": "data.observed",
    "guess": "model.initial",
}


def reword_error(error: Exception, keys: Mapping[str, str]) -> str:
    """The message of an error, "argument: …", which names the key instead of the argument.

    >>> reword_error(ValueError("u: expected finite samples"), RECORD_KEYS)
    'data.input: expected finite samples'
    """
    argument, colon, reason = str(error).partition(":")
    return f"{keys.get(argument, argument)}{colon}{reason}"
