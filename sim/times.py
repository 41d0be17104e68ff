"""The time axis of a record: its sampling interval, and the highest frequency it can hold."""

import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Annotated, Any, NamedTuple, get_args, get_origin

import jax
import numpy as np


class EachTime(NamedTuple):
    """Declares, in the annotation of ``t``, that each sample depends on its own time alone.

    A record of such a test signal may be made in blocks.

    Attributes:
        from_record: for an argument that is None unless given, ``find(first, last, count)``,
            which finds it from the first and the last time of the whole record, in s, and the
            number of samples. If the function has further parameters, they are arguments of
            the test signal.
    """

    from_record: Mapping[str, Callable] = MappingProxyType({})


Times = Annotated[Any, EachTime()]


def find_each_time(generator: Callable) -> EachTime | None:
    """The `EachTime` in the annotation of a test signal's ``t``, or None without one.

    >>> def wave(t: Times): return np.sin(t)
    >>> find_each_time(wave) == EachTime(), find_each_time(lambda t: t)
    (True, None)
    """
    annotation = inspect.signature(generator).parameters["t"].annotation
    metadata = get_args(annotation)[1:] if get_origin(annotation) is Annotated else ()
    return next((entry for entry in metadata if isinstance(entry, EachTime)), None)


def sample_interval(t: Any, *, name: str = "t", units: str = "s") -> float:
    """The sampling interval of a regular time axis, dt = (t_{N−1} − t₀) / (N−1).

    Args:
        t: times, shape (N,), N ≥ 2, concrete (not traced).
        name, units: of t, for the messages; units may be empty.

    Returns:
        dt in the units of t.

    Raises:
        ValueError: a time is not finite or does not increase, or strays from t₀ + k·dt
            by more than 10⁻³·dt (printed times are rounded, clocks are not perfect)
            and the rounding of t's own dtype; the message names the first bad sample.

    Reference: the records of A. Janot, M. Gautier and M. Brunot, "Data set and
    reference models of EMPS" (2019), whose printed times are off by 3·10⁻⁵·dt.

    >>> sample_interval([0.0, 0.5, 1.0])
    0.5
    """
    t = axis(t, name)
    if len(t) < 2:
        raise ValueError(f"{name}: expected at least 2 samples, got {len(t)}")
    units = f" {units}" if units else ""
    rounding = 2 * np.spacing(np.abs(t).max()) if t.dtype.kind == "f" else 0.0
    t = t.astype(np.float64)
    steps = np.diff(t)
    if (steps <= 0).any():
        k = int(np.argmax(steps <= 0)) + 1
        raise ValueError(
            f"{name}: expected increasing times, "
            f"got an interval of {steps[k - 1]:g}{units} before sample {k}"
        )
    dt = (t[-1] - t[0]) / (len(t) - 1)
    stray = np.abs(t - t[0] - dt * np.arange(len(t)))
    if stray.max() > 1e-3 * dt + rounding:
        # One gap tilts the whole grid: the odd interval out is what to name.
        usual = np.median(steps)
        odd = np.abs(steps - usual) > 1e-3 * usual + rounding
        k = int(np.argmax(odd)) + 1 if odd.any() else int(stray.argmax())
        raise ValueError(
            f"{name}: expected regular samples, {usual:g}{units} apart, "
            f"got an interval of {steps[k - 1]:g}{units} before sample {k}"
        )
    return float(dt)


def axis(t: Any, name: str = "t") -> np.ndarray:
    """t as a NumPy array of times, shape (N,); ValueError unless they are finite numbers.

    >>> axis([0, 1]).shape
    (2,)
    """
    if isinstance(t, jax.core.Tracer):
        raise ValueError(
            f"{name}: expected concrete times, got a traced array; make them outside jit"
        )
    t = np.asarray(t)
    if t.ndim != 1 or t.dtype.kind not in "iuf":
        raise ValueError(f"{name}: expected real times of shape (N,), got {t.dtype}{list(t.shape)}")
    if not len(t):
        raise ValueError(f"{name}: expected at least 1 sample, got none")
    if not np.isfinite(t).all():
        k = int(np.argmin(np.isfinite(t)))
        raise ValueError(f"{name}: expected finite times, got {t[k]} at sample {k}")
    return t


def check_below_nyquist(name: str, frequency: float, t: Any) -> None:
    """Raise ValueError unless 0 < frequency < 1 / (2 dt), both in Hz; a single time has no dt.

    >>> check_below_nyquist("frequency", 1.0, [0.0, 0.1])
    """
    limit = 0.5 / sample_interval(t) if len(t) > 1 else np.inf
    # Late times are rounded: what is at the limit is so in every chunk of a record.
    if not 0 < frequency < limit * (1 - 1e-6):
        raise ValueError(
            f"{name}: expected above 0 and below {limit:g} Hz, half the sampling frequency, "
            f"got {frequency:g}"
        )
