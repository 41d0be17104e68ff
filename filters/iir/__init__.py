"""Signal filters with scipy.signal's names and signatures, differentiable.

Symbols: ``sos`` second-order sections, ``b a`` numerator and denominator, ``zi zf`` the
state before and after, ``x y`` signal in and out.
"""

from filters.iir.lfilter import direct_stepper, lfilter
from filters.iir.sosfilt import sos_stepper, sosfilt

__all__ = [
    "direct_stepper",
    "lfilter",
    "sos_stepper",
    "sosfilt",
]
