"""simdkalman: many series at once in NumPy."""

import simdkalman


def batch(model, prior, first, ys):
    f = simdkalman.KalmanFilter(
        state_transition=model.F,
        process_noise=model.Q,
        observation_model=model.H,
        observation_noise=model.R,
    )

    def run():
        return f.compute(
            ys,
            0,
            initial_value=first[0],
            initial_covariance=first[1],
            smoothed=False,
            filtered=True,
            observations=False,
        ).filtered.states.mean

    return run
