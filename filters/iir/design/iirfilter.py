"""The classical filters, from their order and critical frequencies."""

from functools import partial

import jax
import numpy as np

from filters.iir.convert import zpk2sos, zpk2tf
from filters.iir.design.bessel import besselap
from filters.iir.design.elliptic import ellipap
from filters.iir.design.prototypes import buttap, cheb1ap, cheb2ap
from filters.iir.design.transforms import (
    bilinear_zpk,
    lp2bp_zpk,
    lp2bs_zpk,
    lp2hp_zpk,
    lp2lp_zpk,
)
from filters.iir.numeric import (
    ArgumentError,
    arithmetic,
    decibels,
    evaluate,
    is_traced,
    order,
    sampling_frequency,
)

BANDS = {
    **dict.fromkeys(("lowpass", "low", "lp", "l"), "lowpass"),
    **dict.fromkeys(("highpass", "high", "hp", "h"), "highpass"),
    **dict.fromkeys(("bandpass", "band", "pass", "bp"), "bandpass"),
    **dict.fromkeys(("bandstop", "bands", "stop", "bs"), "bandstop"),
}
KINDS = {
    **dict.fromkeys(("butter", "butterworth"), "butter"),
    **dict.fromkeys(("cheby1", "chebyshev1", "chebyshevi"), "cheby1"),
    **dict.fromkeys(("cheby2", "chebyshev2", "chebyshevii"), "cheby2"),
    **dict.fromkeys(("ellip", "elliptic", "cauer"), "ellip"),
    **dict.fromkeys(("bessel", "bessel_phase"), "phase"),
    "bessel_delay": "delay",
    "bessel_mag": "mag",
}
FAMILIES = ("butter", "cheby1", "cheby2", "ellip", "bessel")
OUTPUTS = ("ba", "zpk", "sos")


def iirfilter(
    N, Wn, rp=None, rs=None, btype="band", analog=False, ftype="butter", output="ba", fs=None
):
    """A classical IIR filter: a prototype, moved to its band and, unless analog, to the z plane.

        s → s/ω₀, ω₀/s, (s² + ω₀²)/(Bs) or Bs/(s² + ω₀²);   s = 4 (z − 1)/(z + 1)

    with the edges prewarped, so that the bilinear map takes them to Wn: ω = 4 tan(πWn/2).

    Args:
        N: the order; a band filter has 2N poles. Static.
        Wn: the edge, or the two edges (2,) of a band: as a fraction of the Nyquist
            frequency, in the unit of fs if that is given, in rad/s if analog.
        rp: ripple of the pass band in dB ("cheby1", "ellip").
        rs: attenuation of the stop band in dB ("cheby2", "ellip").
        btype: "lowpass", "highpass", "bandpass" or "bandstop". Static.
        analog: whether to stay in the s plane.
        ftype: "butter", "cheby1", "cheby2", "ellip", "bessel" or "bessel_phase",
            "bessel_delay", "bessel_mag". Static.
        output: "ba", "zpk" or "sos". Static.
        fs: sampling frequency.

    Returns:
        (b, a), (z, p, k) or sos (n_sections, 6), differentiable in Wn, rp, rs and fs.
        NumPy arrays in float64 from numbers, JAX arrays of the same precision from JAX
        arrays and traced values.

    Raises:
        ValueError: the order is not an integer of at least 0, an edge is not between 0 and
            the Nyquist frequency, the band has another number of edges, a ripple is
            missing or not positive, or a name is unknown. Traced values are not checked.

    Prefer "sos": it keeps its precision where "ba" loses it, also under gradients. With an
    odd order and a band so wide that the two poles from the real prototype pole coincide,
    "zpk" has no derivative.

    Reference: Parks and Burrus, *Digital Filter Design*, Wiley 1987, ch. 7.

    >>> sos = iirfilter(2, 0.5, btype="low", output="sos")
    >>> sos.round(4).tolist()
    [[0.2929, 0.5858, 0.2929, 1.0, -0.0, 0.1716]]
    """
    N, fs = order(N), sampling_frequency(fs)
    band = _lookup("btype", btype, BANDS, "an invalid bandtype for filter")
    kind = _lookup("ftype", ftype, KINDS, "not a valid basic IIR filter")
    if str(output).lower() not in OUTPUTS:
        raise ValueError(f"output: '{output}' is not a valid output form, expected {OUTPUTS}")
    if analog and fs is not None:
        raise ValueError(f"fs: fs cannot be specified for an analog filter, got {fs}")
    edges = 1 if band in ("lowpass", "highpass") else 2
    _check_edges(Wn, edges, band, analog, fs)
    for name, value, meaning, users in (
        ("rp", rp, "passband ripple (rp)", ("cheby1", "ellip")),
        ("rs", rs, "stopband attenuation (rs)", ("cheby2", "ellip")),
    ):
        if kind in users or value is not None:
            decibels(name, value, meaning)

    # Compiled once for each set of names: otherwise a gradient of a design outside `jit`
    # would compile hundreds of operations one by one.
    build = _compiled if is_traced(Wn, rp, rs, fs) else _design
    statics = (N, band, bool(analog), kind, str(output).lower())
    return evaluate(partial(build, *statics), Wn, rp, rs, fs)


def _design(N, band, analog, kind, output, Wn, rp, rs, fs):
    ar = arithmetic(Wn, rp, rs, fs)
    Wn = ar.real(Wn).reshape(-1)
    if fs is not None:
        Wn = Wn / ar.real(fs) * 2
    edges = Wn if analog else 4 * ar.xp.tan(np.pi / 2 * Wn)

    if kind == "butter":
        prototype = buttap(N)
    elif kind == "cheby1":
        prototype = cheb1ap(N, rp)
    elif kind == "cheby2":
        prototype = cheb2ap(N, rs)
    elif kind == "ellip":
        prototype = ellipap(N, rp, rs)
    else:
        prototype = besselap(N, norm=kind)

    if band == "lowpass":
        zpk = lp2lp_zpk(*prototype, wo=edges[0])
    elif band == "highpass":
        zpk = lp2hp_zpk(*prototype, wo=edges[0])
    else:
        to_band = lp2bp_zpk if band == "bandpass" else lp2bs_zpk
        centre = ar.xp.sqrt(edges[0] * edges[1])
        zpk = to_band(*prototype, wo=centre, bw=edges[1] - edges[0])
    if not analog:
        zpk = bilinear_zpk(*zpk, fs=2.0)
    if output == "zpk":
        return zpk
    return zpk2tf(*zpk) if output == "ba" else zpk2sos(*zpk, analog=analog)


_compiled = jax.jit(_design, static_argnums=range(5))


def _lookup(name, value, table, otherwise):
    full_name = table.get(value.lower()) if isinstance(value, str) else None
    if full_name is None:
        known = ", ".join(dict.fromkeys(table.values() if name == "btype" else FAMILIES))
        raise ValueError(f"{name}: '{value}' is {otherwise}; expected one of {known}")
    return full_name


def _check_edges(Wn, edges, band, analog, fs):
    size = np.size(Wn) if not isinstance(Wn, list | tuple) else len(Wn)
    if size != edges:
        wanted = (
            "Must specify a single critical frequency Wn"
            if edges == 1
            else "Wn must specify start and stop frequencies"
        )
        raise ArgumentError("Wn", f"{wanted} for {band} filter, got {size}")
    if is_traced(Wn, fs):
        return
    Wn = np.asarray(Wn, float).reshape(-1)
    if not np.all(Wn > 0):
        raise ArgumentError("Wn", f"filter critical frequencies must be greater than 0, got {Wn}")
    nyquist = 1 if fs is None else float(fs) / 2
    if not analog and not np.all(Wn < nyquist):
        limit = "1" if fs is None else f"fs/2 (fs={fs} -> fs/2={nyquist})"
        raise ArgumentError(
            "Wn", f"Digital filter critical frequencies must be 0 < Wn < {limit}, got {Wn}"
        )
    if edges == 2 and not Wn[0] < Wn[1]:
        raise ArgumentError("Wn", f"Wn[0] must be less than Wn[1], got {Wn}")


def butter(N, Wn, btype="low", analog=False, output="ba", fs=None):
    """Butterworth filter: |H(iω)|² = 1 / (1 + (ω/ω₀)^2N), maximally flat, −3 dB at Wn.

    Args, returns and errors as `iirfilter`.

    Reference: S. Butterworth, "On the theory of filter amplifiers", Experimental
    Wireless and the Wireless Engineer 7 (1930).

    >>> b, a = butter(1, 100.0, fs=400.0)
    >>> b.round(4).tolist()
    [0.5, 0.5]
    >>> slope = jax.grad(lambda Wn: butter(1, Wn, fs=400.0)[0][0])(100.0)
    >>> round(float(slope), 6), round(np.pi / 800, 6)
    (0.003927, 0.003927)
    """
    return iirfilter(N, Wn, btype=btype, analog=analog, ftype="butter", output=output, fs=fs)


def cheby1(N, rp, Wn, btype="low", analog=False, output="ba", fs=None):
    """Chebyshev filter of type 1: |H(iω)|² = 1 / (1 + ε²T_N²(ω/ω₀)), rp dB down at Wn.

    Args, returns and errors as `iirfilter`.

    Reference: Parks and Burrus, ch. 7.

    >>> b, a = cheby1(1, 3.0, 0.5)
    >>> b.round(3).tolist(), a.round(3).tolist()
    ([0.501, 0.501], [1.0, 0.001])
    """
    return iirfilter(N, Wn, rp=rp, btype=btype, analog=analog, ftype="cheby1", output=output, fs=fs)


def cheby2(N, rs, Wn, btype="low", analog=False, output="ba", fs=None):
    """Chebyshev filter of type 2: |H(iω)|² = 1 − 1 / (1 + ε²T_N²(ω₀/ω)), rs dB down at Wn.

    Args, returns and errors as `iirfilter`.

    Reference: Parks and Burrus, ch. 7.

    >>> cheby2(2, 40.0, 0.5, output="sos").round(3).tolist()
    [[0.025, 0.016, 0.025, 1.0, -1.608, 0.674]]
    """
    return iirfilter(N, Wn, rs=rs, btype=btype, analog=analog, ftype="cheby2", output=output, fs=fs)


def ellip(N, rp, rs, Wn, btype="low", analog=False, output="ba", fs=None):
    """Elliptic filter: |H(iω)|² = 1 / (1 + ε²R_N²(ω/ω₀)), rp dB down at Wn, rs dB beyond.

    Args, returns and errors as `iirfilter`.

    Reference: S. J. Orfanidis, *Lecture Notes on Elliptic Filter Design*, Rutgers 2006.

    >>> ellip(2, 1.0, 40.0, 0.5, output="sos").round(3).tolist()
    [[0.312, 0.611, 0.312, 1.0, 0.068, 0.318]]
    """
    return iirfilter(
        N, Wn, rp=rp, rs=rs, btype=btype, analog=analog, ftype="ellip", output=output, fs=fs
    )


def bessel(N, Wn, btype="low", analog=False, output="ba", norm="phase", fs=None):
    """Bessel filter: H(s) = θ_N(0)/θ_N(s/ω₀), maximally flat group delay.

    Args, returns and errors as `iirfilter`; norm as `besselap`.

    Reference: W. E. Thomson, "Delay networks having maximally flat frequency
    characteristics", Proceedings of the IEE 96 (1949).

    >>> b, a = bessel(2, 1.0, analog=True, norm="delay")
    >>> b.round(6).tolist(), a.round(6).tolist()
    ([3.0], [1.0, 3.0, 3.0])
    """
    ftype = f"bessel_{norm}"
    if ftype not in KINDS:
        raise ValueError(f"norm: normalization not understood, got {norm!r}")
    return iirfilter(N, Wn, btype=btype, analog=analog, ftype=ftype, output=output, fs=fs)
