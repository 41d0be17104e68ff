"""Akaike's and Schwarz's criteria, which choose between models of the same record.

They take Python numbers; nothing here is fitted or differentiated.
"""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple


def log_likelihood(rss: float, n: int) -> float:
    """log L = −n/2 (log(2π rss / n) + 1) of Gaussian residuals whose variance was fitted.

    Args:
        rss: the residual sum of squares, above 0.
        n: the number of residuals in it.

    Reference: K. P. Burnham and D. R. Anderson, "Model Selection and Multimodel
    Inference", 2nd ed., Springer 2002, section 2.2.

    >>> round(log_likelihood(rss=20.0, n=10), 4)
    -17.6551
    """
    if not rss > 0 or not n > 0:
        raise ValueError(f"rss, n: expected numbers above 0, got {rss}, {n}")
    return -0.5 * n * (math.log(2 * math.pi * rss / n) + 1)


def aic(loglik: float, params: int, n: int | None = None) -> float:
    """AIC = 2k − 2 log L; its minimum is the model that predicts a new record best.

    Args:
        loglik: log L at its maximum.
        params: k, the number of fitted parameters, including the noise variance.
        n: not used; all criteria take the same arguments.

    Reference: H. Akaike, IEEE Transactions on Automatic Control 19 (1974) 716-723.

    >>> aic(-100.0, 3)
    206.0
    """
    return 2 * params - 2 * float(loglik)


def aicc(loglik: float, params: int, n: int) -> float:
    """AICc = AIC + 2k (k + 1) / (n − k − 1): AIC for short records; ∞ where n ≤ k + 1.

    Args:
        loglik, params: as for `aic`.
        n: the number of samples.

    Reference: C. M. Hurvich and C.-L. Tsai, Biometrika 76 (1989) 297-307.

    >>> aicc(-100.0, 3, n=28)
    207.0
    """
    spare = n - params - 1
    return aic(loglik, params) + 2 * params * (params + 1) / spare if spare > 0 else math.inf


def bic(loglik: float, params: int, n: int) -> float:
    """BIC = k log n − 2 log L; for large n its minimum is the true model, if that is a candidate.

    Args:
        loglik, params, n: as for `aicc`.

    Reference: G. Schwarz, Annals of Statistics 6 (1978) 461-464.

    >>> round(bic(-100.0, 3, n=28), 4)
    209.9966
    """
    return params * math.log(n) - 2 * float(loglik)


class Ranked(NamedTuple):
    """One candidate of `select`: its criteria, and its weight exp(−Δ/2), where Δ is the distance
    from the best criterion; the weights of all candidates sum to 1."""

    name: str
    params: int
    loglik: float
    aic: float
    aicc: float
    bic: float
    weight: float


def select(candidates: Mapping[str, tuple[float, int]], n: int, by: Callable = bic) -> list[Ranked]:
    """The candidates in order, best first; nothing is fitted.

    Args:
        candidates: {name: (log likelihood, number of parameters)}, all of one record.
        n: the number of observed samples in that record.
        by: the criterion that decides, `bic`, `aicc` or `aic`.

    Raises:
        ValueError: there is no candidate, or none with a finite criterion.

    >>> best, *_ = select({"order 1": (-120.0, 3), "order 2": (-100.0, 5)}, n=80)
    >>> best.name, round(best.weight, 4)
    ('order 2', 1.0)
    """
    values = {name: by(loglik, params, n) for name, (loglik, params) in candidates.items()}
    # A fit that diverged has no likelihood: it comes last, with weight 0.
    values = {name: v if math.isfinite(v) else math.inf for name, v in values.items()}
    least = min(values.values(), default=math.inf)
    if least == math.inf:
        raise ValueError(
            f"candidates: expected one with a finite criterion, got {dict(candidates)}"
        )
    weights = {name: math.exp(-0.5 * (value - least)) for name, value in values.items()}
    total = sum(weights.values())
    return [
        Ranked(
            name,
            params,
            float(loglik),
            aic(loglik, params),
            aicc(loglik, params, n),
            bic(loglik, params, n),
            weights[name] / total,
        )
        for name in sorted(values, key=values.get)
        for loglik, params in [candidates[name]]
    ]
