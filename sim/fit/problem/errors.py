"""Errors that a caller tells apart by their type. Each of them is a ValueError."""


class NoForwardMode(ValueError):
    """The model has no forward-mode derivative."""


class TooFewSamples(ValueError):
    """The samples and the priors together are fewer than the unknowns."""


class DivergenceError(ValueError):
    """A run of the model does not stay finite."""
