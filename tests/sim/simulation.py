"""A simulation of a model, for the tests of its physics."""

from integrators import dormand_prince5
from sim import rollout


def simulate(field, initial, dt, n, xs=None):
    stepper = dormand_prince5(field, dt)
    return rollout(stepper.step, stepper.init(initial), xs, length=n)[1]
