"""A solver is one file."""

import jax
import optax


def gradient_descent(share: float = 0.5) -> optax.GradientTransformation:
    """A constant share of the gradient."""
    return optax.GradientTransformation(
        lambda params: (),
        lambda gradient, state, params=None: (jax.tree.map(lambda g: -share * g, gradient), state),
    )
