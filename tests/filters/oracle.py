"""The joint Gaussian of a whole record, conditioned at once: slow, and beyond doubt."""

import numpy as np


def joint(prior, models, inputs, on_first=False):
    """Mean and covariance of (x₀, x₁, …, x_N) and the stacked observation maps.

    ``models`` is one dict of NumPy matrices for each step; x₀ is the state the prior
    speaks of, a step before x₁ or, with ``on_first``, x₁ itself.
    """
    m, P = (np.asarray(a, float) for a in prior)
    n, N = len(m), len(models)
    mean = np.zeros((N + 1, n))
    mean[0] = m
    T = np.zeros((N + 1, n, N + 1, n))  # states from (x₀ − m, w₁, …, w_N)
    T[0, :, 0] = np.eye(n)
    noise = np.zeros((N + 1, n, n))
    noise[0] = P
    for k, (model, u) in enumerate(zip(models, inputs, strict=True), 1):
        F = np.eye(n) if on_first and k == 1 else model["F"]
        Q = np.zeros((n, n)) if on_first and k == 1 else full(model["Q"])
        drive = model["B"] @ u + model["b"] if not (on_first and k == 1) else 0
        mean[k] = F @ mean[k - 1] + drive
        T[k] = np.einsum("ij,jkl->ikl", F, T[k - 1])
        T[k, :, k] += np.eye(n)
        noise[k] = Q
    flat = T.reshape((N + 1) * n, (N + 1) * n)
    big = np.zeros_like(flat)
    for k in range(N + 1):
        big[k * n : (k + 1) * n, k * n : (k + 1) * n] = noise[k]
    return mean, flat @ big @ flat.T


def full(Q):
    return np.diag(Q) if np.ndim(Q) == 1 else np.asarray(Q)


def posterior(prior, models, inputs, ys, upto=None, on_first=False):
    """Means (N+1, n), covariances (N+1, n, n) and log p(y) given ys[:upto], NaN missing."""
    mean, cov = joint(prior, models, inputs, on_first)
    n = mean.shape[1]
    rows, values, noise = [], [], []
    for k, (model, u, y) in enumerate(zip(models, inputs, ys, strict=True), 1):
        if upto is not None and k > upto:
            break
        seen = ~np.isnan(y)
        H = np.zeros((seen.sum(), mean.size))
        H[:, k * n : (k + 1) * n] = model["H"][seen]
        rows.append(H)
        values.append((y - model["D"] @ u - model["d"])[seen])
        noise.append(full(model["R"])[np.ix_(seen, seen)])
    H, y = np.concatenate(rows), np.concatenate(values)
    R = np.zeros((len(y), len(y)))
    at = 0
    for block in noise:
        R[at : at + len(block), at : at + len(block)] = block
        at += len(block)
    S = H @ cov @ H.T + R
    v = y - H @ mean.ravel()
    gain = np.linalg.solve(S, H @ cov).T if len(y) else np.zeros((mean.size, 0))
    m = mean.ravel() + gain @ v
    P = cov - gain @ H @ cov
    sign, logdet = np.linalg.slogdet(S) if len(y) else (1, 0.0)
    loglik = (
        -0.5 * (v @ np.linalg.solve(S, v) + logdet + len(y) * np.log(2 * np.pi)) if len(y) else 0.0
    )
    blocks = P.reshape(len(mean), n, len(mean), n)
    return m.reshape(mean.shape), np.stack([blocks[k, :, k] for k in range(len(mean))]), loglik


def random_case(n, m, p, N, seed, missing=0.0, varying=False):
    """A random stable model (or one per step), prior, inputs and record."""
    rng = np.random.default_rng(seed)

    def definite(k):
        a = rng.normal(size=(k, k))
        return a @ a.T / max(k, 1) + 0.3 * np.eye(k)

    def model():
        F = rng.normal(size=(n, n))
        F *= 0.9 / max(np.abs(np.linalg.eigvals(F)).max(), 0.1)
        return dict(
            F=F,
            Q=definite(n),
            H=rng.normal(size=(m, n)),
            R=definite(m),
            B=rng.normal(size=(n, p)),
            D=rng.normal(size=(m, p)),
            b=rng.normal(size=n),
            d=rng.normal(size=m),
        )

    models = [model() for _ in range(N)] if varying else [model()] * N
    ys = rng.normal(size=(N, m)) * 2
    ys[rng.random((N, m)) < missing] = np.nan
    return (rng.normal(size=n), definite(n)), models, rng.normal(size=(N, p)), ys


def check_covariances(*covariances):
    """Each (…, n, n) is symmetric and positive semi-definite, to the rounding of its size."""
    for P in covariances:
        P = np.asarray(P, float)
        scale = np.abs(P).max(initial=0.0)
        np.testing.assert_allclose(P, np.swapaxes(P, -1, -2), rtol=0, atol=1e-12 * scale)
        assert np.linalg.eigvalsh(P).min(initial=0.0) >= -1e-12 * scale
