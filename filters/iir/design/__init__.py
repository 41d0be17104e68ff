"""Filter design with scipy.signal's names, differentiable in cutoff, ripple and Q.

A design takes an analog prototype (zeros, poles and gain of a low-pass with its edge at
1 rad/s), shifts it in frequency (`lp2lp_zpk` and others), makes it digital
(`bilinear_zpk`), and writes it as `sos`, `zpk` or `ba`. NumPy computes it in float64 from
numbers, jax.numpy from traced values in their dtype. A file belongs here if it computes
coefficients; one that filters samples belongs in `filters.iir`, which imports this
package.

Symbols: ``z p k`` zeros, poles, gain; ``b a`` numerator and denominator; ``N`` order; ``Wn``
critical frequencies; ``Q`` quality factor.
"""

from filters.iir.design.bessel import besselap
from filters.iir.design.biquad import (
    biquad_allpass,
    biquad_bandpass,
    biquad_highpass,
    biquad_highshelf,
    biquad_lowpass,
    biquad_lowshelf,
    biquad_notch,
    biquad_peaking,
)
from filters.iir.design.elliptic import ellipap
from filters.iir.design.iirfilter import bessel, butter, cheby1, cheby2, ellip, iirfilter
from filters.iir.design.notch import iircomb, iirnotch, iirpeak
from filters.iir.design.order import buttord, cheb1ord, cheb2ord, ellipord, iirdesign
from filters.iir.design.prototypes import buttap, cheb1ap, cheb2ap
from filters.iir.design.transforms import (
    bilinear,
    bilinear_zpk,
    lp2bp_zpk,
    lp2bs_zpk,
    lp2hp_zpk,
    lp2lp_zpk,
)

__all__ = [
    "bessel",
    "besselap",
    "bilinear",
    "bilinear_zpk",
    "biquad_allpass",
    "biquad_bandpass",
    "biquad_highpass",
    "biquad_highshelf",
    "biquad_lowpass",
    "biquad_lowshelf",
    "biquad_notch",
    "biquad_peaking",
    "buttap",
    "butter",
    "buttord",
    "cheb1ap",
    "cheb1ord",
    "cheb2ap",
    "cheb2ord",
    "cheby1",
    "cheby2",
    "ellip",
    "ellipap",
    "ellipord",
    "iircomb",
    "iirdesign",
    "iirfilter",
    "iirnotch",
    "iirpeak",
    "lp2bp_zpk",
    "lp2bs_zpk",
    "lp2hp_zpk",
    "lp2lp_zpk",
]
