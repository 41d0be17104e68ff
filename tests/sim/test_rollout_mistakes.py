"""Static mistakes in `rollout`, `repeat` and `cascade` raise ValueError and name the argument."""

import jax
import numpy as np
import pytest

from sim import Stepper, cascade, repeat, rollout


def keep(carry, x):
    return carry, carry


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: rollout(keep, 0.0), r"length: expected a number of steps, because xs is None"),
        (lambda: rollout(keep, 0.0, {}), r"length: expected a number of steps"),
        (
            lambda: rollout(keep, 0.0, length=-1),
            r"length: expected an integer of at least 0, got -1",
        ),
        (lambda: rollout(keep, 0.0, length=2.0), r"length: expected an integer.*got 2.0"),
        (
            lambda: rollout(keep, 0.0, np.ones(3), length=4),
            r"length: expected 3, the leading axis of xs, got 4",
        ),
        (
            lambda: rollout(keep, 0.0, {"u": np.ones(3), "v": [np.ones((4, 2))]}),
            r"xs: expected leading axes of one length, got: xs\['u'\] has 3, xs\['v'\]\[0\] has 4",
        ),
        (
            lambda: rollout(keep, 0.0, (np.ones(3), 1.0)),
            r"xs\[1\]: expected a leading axis \(time\), got a scalar",
        ),
        (
            lambda: rollout(
                lambda c, x: ({"p": c["p"][:1], "q": c["q"]}, x),
                {"p": np.ones(2), "q": 1},
                length=1,
            ),
            r"step: the carry changes; carry\['p'\]: expected float64\[2\], got float64\[1\]",
        ),
        (
            lambda: rollout(lambda c, x: ((c[0], c[0]), x), (np.ones(2), np.arange(2)), length=1),
            r"carry\[1\]: expected int64\[2\], got float64\[2\]",
        ),
        (
            lambda: rollout(lambda c, x: ([c], x), np.ones(2), length=1),
            r"keep the structure of the carry, \*, got \[\*\]",
        ),
        (
            lambda: rollout(lambda c, x: c, np.ones(2), length=1),
            r"step: expected it to return the pair \(carry, y\)",
        ),
        (
            lambda: rollout(keep, {"name": "x"}, length=1),
            r"carry\['name'\]: expected an array or a number, got str",
        ),
        (
            lambda: rollout(keep, 0.0, length=1, unroll=0),
            r"unroll: expected an integer of at least 1, got 0",
        ),
        (
            lambda: rollout(keep, 0.0, length=1, checkpoint_every=0),
            r"checkpoint_every: expected an integer of at least 1",
        ),
        (
            lambda: rollout(Stepper(keep, keep), 0.0, length=1),
            r"step: expected a function, got Stepper",
        ),
        (lambda: repeat(3, keep), r"step: expected a function, got int"),
        (
            lambda: rollout(
                repeat(lambda c, x: ({"p": c["p"][:1]}, x), 2), {"p": np.ones(2)}, length=1
            ),
            r"step: the carry changes; carry\['p'\]: expected float64\[2\], got float64\[1\]",
        ),
        (
            lambda: rollout(repeat(lambda c, x: c, 2), np.ones(2), length=1),
            r"step: expected it to return the pair",
        ),
        (
            lambda: cascade(Stepper(keep, keep), keep),
            r"steppers\[1\]: expected a Stepper, got function",
        ),
        (
            lambda: rollout(cascade(Stepper(keep, lambda c, x: c)).step, (np.ones(2),), length=1),
            r"step: expected it to return the pair",
        ),
        (lambda: repeat(keep, 0), r"n: expected an integer of at least 1, got 0"),
        (lambda: cascade(), r"cascade: expected at least one stepper, got none"),
        (
            lambda: cascade(Stepper(lambda c: c, keep)).init(1.0, 2.0),
            r"expected one argument for each of 1 steppers, got 2",
        ),
    ],
)
@pytest.mark.parametrize("jitted", [False, True])
def test_mistakes_are_named(call, words, jitted):
    with pytest.raises(ValueError, match=words):
        jax.jit(call)() if jitted else call()
