"""Subspace identification: exact recovery, consistency, the Kalman gain, records, mistakes."""

import numpy as np
import pytest
from scipy.linalg import solve_discrete_are

from sim.fit.linear_models.n4sid import n4sid


def system(n, m, p, seed, radius=0.9):
    rng = np.random.default_rng(seed)
    A = rng.normal(size=(n, n))
    A *= radius / np.max(abs(np.linalg.eigvals(A)))
    return A, rng.normal(size=(n, m)), rng.normal(size=(p, n)), rng.normal(size=(p, m))


def simulated(A, B, C, D, u, x, w=None, v=0.0):
    xs = np.empty((len(u), len(A)))
    w = np.zeros_like(xs) if w is None else w
    for k in range(len(u)):
        xs[k], x = x, A @ x + B @ u[k] + w[k]
    return xs @ C.T + u @ D.T + v


def markov(A, B, C, D, count=25):
    parameters, power = [D], B
    for _ in range(count):
        parameters.append(C @ power)
        power = A @ power
    return np.array(parameters)


def error(a, b):
    return np.linalg.norm(a - b) / np.linalg.norm(b)


@pytest.mark.parametrize("n, m, p", [(2, 1, 1), (5, 2, 2), (8, 3, 2), (4, 1, 3)])
@pytest.mark.parametrize("given", [True, False])
def test_a_random_system_is_identified_exactly_without_noise(n, m, p, given):
    truth, rng = system(n, m, p, seed=n), np.random.default_rng(1)
    u, x0 = 1e3 * rng.normal(size=(900, m)), rng.normal(size=n)
    y = simulated(*truth, u, x0)
    result = n4sid(u, y, n if given else None)
    assert result.A.shape == (n, n) and result.x0.shape == (n,)
    values = (np.sort_complex(np.linalg.eigvals(A)) for A in (result.A, truth[0]))
    np.testing.assert_allclose(*values, atol=1e-8)
    assert error(markov(*result[:4]), markov(*truth)) < 1e-8
    assert error(simulated(*result[:4], u, result.x0), y) < 1e-8


def test_records_of_different_lengths_share_a_system_and_have_their_own_initial_states():
    truth, rng = system(3, 1, 2, seed=4), np.random.default_rng(2)
    us = [rng.normal(size=(n, 1)) for n in (300, 30, 150)]
    starts = rng.normal(size=(3, 3))
    ys = [simulated(*truth, u, x0) for u, x0 in zip(us, starts, strict=True)]
    result = n4sid(us, ys, 3, horizon=5)
    assert error(markov(*result[:4]), markov(*truth)) < 1e-8
    for u, y, x0 in zip(us, ys, result.x0, strict=True):
        assert error(simulated(*result[:4], u, x0), y) < 1e-8


def test_many_short_records_shorten_the_horizon():
    truth, rng = system(2, 1, 1, seed=1), np.random.default_rng(3)
    us = [rng.normal(size=(25, 1)) for _ in range(40)]
    ys = [simulated(*truth, u, rng.normal(size=2)) for u in us]
    assert error(markov(*n4sid(us, ys)[:4]), markov(*truth)) < 1e-8


@pytest.fixture(scope="module")
def noisy():
    truth = A, B, C, D = system(3, 2, 2, seed=3)
    Q, R = 0.1 * np.eye(3), 0.5 * np.eye(2)
    P = solve_discrete_are(A.T, C.T, Q, R)
    S = C @ P @ C.T + R
    K = A @ P @ C.T @ np.linalg.inv(S)
    rng = np.random.default_rng(5)
    u = rng.normal(size=(20000, 2))
    w, v = np.sqrt(0.1) * rng.normal(size=(20000, 3)), np.sqrt(0.5) * rng.normal(size=(20000, 2))
    y = simulated(*truth, u, np.zeros(3), w, v)
    return truth, K, S, u, y, n4sid(u, y, 3)


def test_the_error_by_noise_falls_with_the_length_of_the_record(noisy):
    truth, _, _, u, y, result = noisy
    early = n4sid(u[:1250], y[:1250], 3)
    errors = [error(markov(*system[:4]), markov(*truth)) for system in (early, result)]
    assert errors[1] < 0.01 and errors[1] < 0.6 * errors[0]
    assert len(n4sid(u[:14000], y[:14000]).A) == 3


def test_the_gain_is_that_of_the_kalman_filter_and_R_its_innovations(noisy):
    (A, _, C, _), K, S, *_, result = noisy
    eye = np.eye(2)
    assert error(markov(result.A, result.K, result.C, eye), markov(A, K, C, eye)) < 0.04
    assert error(result.R, S) < 0.03
    assert np.max(abs(np.linalg.eigvals(result.A - result.K @ result.C))) < 1


def test_outputs_alone_give_the_noise_model(noisy):
    truth, K, S, *_ = noisy
    rng = np.random.default_rng(6)
    e = rng.normal(size=(20000, 2)) @ np.linalg.cholesky(S).T
    y = simulated(truth[0], K, truth[2], np.eye(2), e, np.zeros(3))
    result = n4sid(None, y, 3)
    assert result.B.shape == (3, 0) and result.D.shape == (2, 0)
    exact = markov(truth[0], K, truth[2], np.eye(2))
    assert error(markov(result.A, result.K, result.C, np.eye(2)), exact) < 0.05


def test_units_and_means_do_not_change_the_system(noisy):
    u, y = noisy[3:5]
    u, y = u[:2000] - u[:2000].mean(axis=0), y[:2000] - y[:2000].mean(axis=0)
    plain = n4sid(u, y, 3)
    result = n4sid(1e6 * u + 7e6, 1e-3 * y - 2.0, 3, means=True)
    np.testing.assert_allclose(
        markov(*result[:4]), 1e-9 * markov(*plain[:4]), rtol=1e-6, atol=1e-15
    )
    np.testing.assert_allclose(result.u_mean, 7e6)
    np.testing.assert_allclose(result.y_mean, -2.0)


def test_an_unstable_system_is_identified_and_mirrored_on_request():
    truth, rng = ([[1.01]], [[1.0]], [[1.0]], [[0.0]]), np.random.default_rng(7)
    truth = [np.array(M) for M in truth]
    u = rng.normal(size=(400, 1))
    y = simulated(*truth, u, np.zeros(1), v=0.1 * rng.normal(size=(400, 1)))
    result = n4sid(u, y, 1)
    assert abs(result.A[0, 0] - 1.01) < 1e-3 and abs(result.A - result.K @ result.C) < 1
    np.testing.assert_allclose(n4sid(u, y, 1, stable=True).A, 1 / result.A, rtol=1e-9)


def test_mistakes_are_named():
    rng = np.random.default_rng(8)
    u, y = rng.normal(size=(2, 300))
    gap = np.where(np.arange(300) == 9, np.nan, y)
    for args, options, message in [
        ((np.ones(300), y), {}, "u: expected a record that varies, got column 0 constant at 1"),
        ((u, 0 * y), {}, "y: expected a record that varies, got column 0 constant at 0"),
        (
            (np.sin(np.arange(300)), y),
            {},
            r"u: expected an input that excites \d+ directions .* got 2",
        ),
        (
            (u[:30], y[:30]),
            {"horizon": 10},
            "y: expected at least 59 samples in a record for horizon 10",
        ),
        ((u[:9], y), {}, r"u: expected the lengths of y, \[300\], got \[9\]"),
        (
            (u, gap),
            {},
            "y: expected finite numbers, got nan at sample 9 of column 0; give the parts",
        ),
        ((u, y, 5), {"horizon": 4}, "horizon: expected at least 6 for order 5, got 4"),
        ((u, y, 0), {}, "order: expected an integer of at least 1, got 0"),
        ((u[1:], u[:-1], 4), {}, "order: expected at most 1, the rank of the record, got 4"),
    ]:
        with pytest.raises(ValueError, match=message):
            n4sid(*args, **options)
