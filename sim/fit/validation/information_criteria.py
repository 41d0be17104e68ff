"""Which of several models: Akaike's and Schwarz's criteria of fits to the same record.

Python numbers: nothing here is fitted or differentiated.
"""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple


def log_likelihood(rss: float, n: int) -> float:
    """log L = −n/2 (log(2π rss / n) + 1), of Gaussian residuals whose variance was fitted.

    Args:
        rss: the residual sum of squares, above 0.
        n: how many residuals it sums.

    Reference: K. P. Burnham and D. R. Anderson, "Model Selection and Multimodel
    Inference", 2nd ed., Springer 2002, section 2.2.

    >>> round(log_likelihood(rss=20.0, n=10), 4)
    -17.6551
    """
    if not rss > 0 or not n > 0:
        raise ValueError(f"rss, n: expected numbers above 0, got {rss}, {n}")
    return -0.5 * n * (math.log(2 * math.pi * rss / n) + 1)


def aic(loglik: float, params: int, n: int | None = None) -> float:
    """AIC = 2k − 2 log L: the model that would predict a new record best.

    Args:
        loglik: log L at its maximum.
        params: k, the parameters fitted, the noise variance among them.
        n: unused; all criteria take the same arguments.

    Reference: H. Akaike, IEEE Transactions on Automatic Control 19 (1974) 716-723.

    >>> aic(-100.0, 3)
    206.0
    """
    return 2 * params - 2 * float(loglik)


def aicc(loglik: float, params: int, n: int) -> float:
    """AICc = AIC + 2k (k + 1) / (n − k − 1): AIC for short records; ∞ where n ≤ k + 1.

    Args:
        loglik, params: as for `aic`.
        n: samples.

    Reference: C. M. Hurvich and C.-L. Tsai, Biometrika 76 (1989) 297-307.

    >>> aicc(-100.0, 3, n=28)
    207.0
    """
    spare = n - params - 1
    return aic(loglik, params) + 2 * params * (params + 1) / spare if spare > 0 else math.inf


def bic(loglik: float, params: int, n: int) -> float:
    """BIC = k log n − 2 log L: the true model, where it is one of them and n is large.

    Args:
        loglik, params, n: as for `aicc`.

    Reference: G. Schwarz, Annals of Statistics 6 (1978) 461-464.

    >>> round(bic(-100.0, 3, n=28), 4)
    209.9966
    """
    return params * math.log(n) - 2 * float(loglik)


class Ranked(NamedTuple):
    """A model in its place: its criteria, and its weight exp(−Δ/2), normalised to 1 over all."""

    name: str
    params: int
    loglik: float
    aic: float
    aicc: float
    bic: float
    weight: float


def select(candidates: Mapping[str, tuple[float, int]], n: int, by: Callable = bic) -> list[Ranked]:
    """The candidates, best first; nothing is fitted.

    Args:
        candidates: {name: (log likelihood, number of parameters)}, all of one record.
        n: samples in that record, those that are missing left out.
        by: the criterion that decides, `bic`, `aicc` or `aic`.

    Raises:
        ValueError: there is no candidate, or none with a finite criterion.

    >>> best, *_ = select({"order 1": (-120.0, 3), "order 2": (-100.0, 5)}, n=80)
    >>> best.name, round(best.weight, 4)
    ('order 2', 1.0)
    """
    values = {name: by(loglik, params, n) for name, (loglik, params) in candidates.items()}
    # A fit that diverged has no likelihood: it comes last, with no weight.
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
