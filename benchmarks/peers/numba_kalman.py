"""numba: the loop one would write by hand, scalar updates for a diagonal R."""

import numba
import numpy as np


@numba.njit(fastmath={"contract"})
def _loop(F, Q, H, R, m0, P0, ys):
    n, k, N = F.shape[0], H.shape[0], ys.shape[0]
    m, P = m0.copy(), P0.copy()
    means, covs, loglik = np.empty((N, n)), np.empty((N, n, n)), 0.0
    mp, FP, g = np.empty(n), np.empty((n, n)), np.empty(n)
    for t in range(N):
        if t > 0:
            for i in range(n):
                s = 0.0
                for j in range(n):
                    s += F[i, j] * m[j]
                mp[i] = s
                for j in range(n):
                    s = 0.0
                    for q in range(n):
                        s += F[i, q] * P[q, j]
                    FP[i, j] = s
            m[:] = mp
            for i in range(n):
                for j in range(n):
                    s = Q[i, j]
                    for q in range(n):
                        s += FP[i, q] * F[j, q]
                    P[i, j] = s
        for c in range(k):
            s, v = R[c, c], ys[t, c]
            for i in range(n):
                a = 0.0
                for j in range(n):
                    a += P[i, j] * H[c, j]
                g[i] = a
                v -= H[c, i] * m[i]
            for i in range(n):
                s += H[c, i] * g[i]
            loglik -= 0.5 * (v * v / s + np.log(2 * np.pi * s))
            for i in range(n):
                m[i] += g[i] * v / s
                for j in range(n):
                    P[i, j] -= g[i] * g[j] / s
        means[t] = m
        covs[t] = P
    return means, covs, loglik


def build_filter(model, prior, first, ys):
    args = *map(np.ascontiguousarray, (model.F, model.Q, model.H, model.R, *first)), ys
    _loop(*args[:-1], ys[:2])
    return lambda: _loop(*args)
