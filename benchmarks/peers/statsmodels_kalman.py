"""statsmodels: its compiled Kalman filter with a known initial state."""

import numpy as np
from statsmodels.tsa.statespace.kalman_filter import KalmanFilter


def _filter(model, first, ys):
    n, m = model.F.shape[0], model.H.shape[0]
    f = KalmanFilter(k_endog=m, k_states=n, k_posdef=n)
    f.bind(np.ascontiguousarray(ys))
    f["design"], f["transition"], f["selection"] = model.H, model.F, np.eye(n)
    f["obs_cov"], f["state_cov"] = model.R, model.Q
    f.initialize_known(*first)
    f.set_filter_method(filter_univariate=False)
    f.tolerance = 0  # no switch to a steady state: all do every step
    return f


def build_filter(model, prior, first, ys):
    f = _filter(model, first, ys)

    def run():
        out = f.filter()
        P = np.ascontiguousarray(np.moveaxis(out.filtered_state_cov, -1, 0))
        return out.filtered_state.T, P, out.llf_obs.sum()

    return run


def batch(model, prior, first, ys):
    built = [_filter(model, first, y) for y in ys]

    def run():
        return np.stack([f.filter().filtered_state.T for f in built])

    return run
