"""Learned steppers: recurrent networks that drive `rollout` like any physical model.

Symbols: ``x`` what enters, ``h`` or ``carry`` what is remembered, ``y`` what leaves; ``W``
weights of the input, ``U`` of the state, ``b`` biases; row vectors, so that a batch stands
in the leading axes.
"""

from sim.rnn.carry import initialize_carry
from sim.rnn.elman import elman
from sim.rnn.elman import params as elman_params
from sim.rnn.gru import gru
from sim.rnn.gru import params as gru_params
from sim.rnn.lstm import lstm
from sim.rnn.lstm import params as lstm_params
from sim.rnn.minimal_gated import minimal_gated
from sim.rnn.minimal_gated import params as minimal_gated_params

__all__ = [
    "elman",
    "elman_params",
    "gru",
    "gru_params",
    "initialize_carry",
    "lstm",
    "lstm_params",
    "minimal_gated",
    "minimal_gated_params",
]
