"""The scan kernel, and what needs only it.

Symbols: ``carry`` what a step keeps, ``x``/``xs`` what enters, ``y``/``ys`` what leaves.
"""

from sim.rollout import cascade, repeat, rollout
from sim.step import Step, Stepper
from sim.xla import keep_loops_native

keep_loops_native()

__all__ = ["Step", "Stepper", "cascade", "repeat", "rollout"]
