"""Learned steppers: recurrent networks that drive `rollout` like any physical model.

Symbols: ``x`` input, ``h`` or ``carry`` state, ``y`` output; ``W`` weights of the input,
``U`` of the state, ``b`` biases. Vectors are rows, so that a batch has the leading axes.

A file belongs here if it defines a cell, a layer around cells, or what a network needs to be
trained and saved. It imports the kernel and `sim.records`; no other room of `sim` imports it.
"""

from sim.records.segments import pieces
from sim.rnn.around import layer_norm, layer_norm_params, readout, residual
from sim.rnn.bidirectional import bidirectional
from sim.rnn.carry import initialize_carry
from sim.rnn.diagonal import diagonal
from sim.rnn.diagonal import parallel as diagonal_parallel
from sim.rnn.diagonal import params as diagonal_params
from sim.rnn.elman import elman
from sim.rnn.elman import params as elman_params
from sim.rnn.encoder import Seen, encoder, encoder_params, split_window
from sim.rnn.feedback import (
    Fed,
    feedback,
    free_running_mask,
    scheduled_sampling_mask,
    teacher_forcing_mask,
)
from sim.rnn.gru import gru
from sim.rnn.gru import params as gru_params
from sim.rnn.hybrid import (
    StateScaling,
    corrected_field,
    corrected_step,
    correction,
    state_scaling,
)
from sim.rnn.lru import lru
from sim.rnn.lru import parallel as lru_parallel
from sim.rnn.lru import params as lru_params
from sim.rnn.lstm import lstm
from sim.rnn.lstm import params as lstm_params
from sim.rnn.minimal_gated import minimal_gated
from sim.rnn.minimal_gated import params as minimal_gated_params
from sim.rnn.mlp import mlp, mlp_params
from sim.rnn.saved import Saved, load, save
from sim.rnn.scaling import Scaling, scale_stepper, scaling
from sim.rnn.stack import layers, stack
from sim.rnn.state_space import from_linear, state_space
from sim.rnn.state_space import params as state_space_params
from sim.rnn.torch_weights import from_torch

# Earlier names of the same functions.
free_running = free_running_mask
layer_normalised = layer_norm
scaled = scale_stepper
scheduled = scheduled_sampling_mask
seen = split_window
teacher_forced = teacher_forcing_mask

__all__ = [
    "Fed",
    "Saved",
    "Scaling",
    "Seen",
    "StateScaling",
    "bidirectional",
    "corrected_field",
    "corrected_step",
    "correction",
    "diagonal",
    "diagonal_parallel",
    "diagonal_params",
    "elman",
    "elman_params",
    "encoder",
    "encoder_params",
    "feedback",
    "free_running",
    "free_running_mask",
    "from_linear",
    "from_torch",
    "gru",
    "gru_params",
    "initialize_carry",
    "layer_norm",
    "layer_norm_params",
    "layer_normalised",
    "layers",
    "load",
    "lru",
    "lru_parallel",
    "lru_params",
    "lstm",
    "lstm_params",
    "minimal_gated",
    "minimal_gated_params",
    "mlp",
    "mlp_params",
    "pieces",
    "readout",
    "residual",
    "save",
    "scale_stepper",
    "scaled",
    "scaling",
    "scheduled",
    "scheduled_sampling_mask",
    "seen",
    "split_window",
    "stack",
    "state_scaling",
    "state_space",
    "state_space_params",
    "teacher_forced",
    "teacher_forcing_mask",
]
