"""Signal filters with scipy.signal's names and signatures, differentiable and faster.

Symbols: ``sos`` second-order sections, ``b a`` numerator and denominator, ``z p k`` zeros,
poles and gain, ``zi zf`` the state before and after, ``x y`` signal in and out.

This package filters signals, provides the same filters as steppers for a rollout, and
exports the names of `filters.iir.design`. It imports `sim` alone; the state estimators in
`filters` do not import it.
"""

from filters.iir import design
from filters.iir.convert import (
    BadCoefficients,
    normalize,
    sos2tf,
    sos2zpk,
    tf2sos,
    tf2zpk,
    zpk2sos,
    zpk2tf,
)
from filters.iir.design import *  # noqa: F403
from filters.iir.fitting import Fit, fit_records, fit_response
from filters.iir.initial import lfilter_zi, lfiltic, sosfilt_zi
from filters.iir.lfilter import direct_stepper, lfilter
from filters.iir.response import freqs, freqz, freqz_sos, freqz_zpk, group_delay, sosfreqz
from filters.iir.sosfilt import sos_stepper, sosfilt
from filters.iir.stable import Parametrisation, polar, reflection, triangle
from filters.iir.state_space import ss_stepper, ssfilt
from filters.iir.stream import Stream, StreamState, direct_stream, sos_stream
from filters.iir.varying import state_variable_stepper, varying_sos_stepper
from filters.iir.zero_phase import filtfilt, sosfiltfilt

__all__ = [
    *design.__all__,
    "BadCoefficients",
    "Fit",
    "Parametrisation",
    "Stream",
    "StreamState",
    "direct_stepper",
    "direct_stream",
    "filtfilt",
    "fit_records",
    "fit_response",
    "freqs",
    "freqz",
    "freqz_sos",
    "freqz_zpk",
    "group_delay",
    "lfilter",
    "lfilter_zi",
    "lfiltic",
    "normalize",
    "polar",
    "reflection",
    "sos2tf",
    "sos2zpk",
    "sos_stepper",
    "sos_stream",
    "sosfilt",
    "sosfilt_zi",
    "sosfiltfilt",
    "sosfreqz",
    "ss_stepper",
    "ssfilt",
    "state_variable_stepper",
    "tf2sos",
    "tf2zpk",
    "triangle",
    "varying_sos_stepper",
    "zpk2sos",
    "zpk2tf",
]
