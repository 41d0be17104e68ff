"""A constraint of the user's own needs only the two methods of the protocol."""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
import pytest

from sim.fit.parameters.layout import parameter_layout
from sim.fit.parameters.vector import to_parameters


@dataclass(frozen=True)
class Angle:
    """θ = π tanh z."""

    def value(self, z, shape):
        return (jnp.pi * jnp.tanh(z)).reshape(shape)

    def free(self, value):
        return np.arctanh(value / np.pi).ravel()


class ValueOnly:
    def value(self, z, shape):
        return z


def test_a_constraint_of_the_users_own_is_taken():
    layout, z = parameter_layout({"phase": 1.0}, {"phase": Angle()})
    assert layout.kinds == (Angle(),)
    np.testing.assert_allclose(to_parameters(layout, z, {"phase": 1.0})["phase"], 1.0, rtol=1e-12)


@pytest.mark.parametrize("kind", [ValueOnly(), 3.0, None])
def test_what_lacks_a_method_is_refused(kind):
    with pytest.raises(ValueError, match="parameters: a: expected free, positive"):
        parameter_layout({"a": 1.0}, {"a": kind})
