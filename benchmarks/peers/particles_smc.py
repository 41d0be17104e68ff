"""particles (N. Chopin): its bootstrap filter, with the densities written in NumPy.

So it is faster than with its own distributions, whose densities are those of SciPy.
"""

import numpy as np
import particles
from particles import collectors

from benchmarks.particle import BELOW, LOG_SCALE, SD_X, SD_Y, drift


class Population(particles.FeynmanKac):
    def __init__(self, ys):
        super().__init__(len(ys))
        self.ys = ys

    def M0(self, N):  # the prior is of the state before the first observation
        return self.M(0, np.random.standard_normal(N))

    def M(self, t, xp):
        return drift(xp, np.exp) + SD_X * np.random.standard_normal(xp.shape)

    def logG(self, t, xp, x):
        return LOG_SCALE - ((self.ys[t] - x) / SD_Y) ** 2 / 2


def build_filter(ys, K):
    def run():
        smc = particles.SMC(
            fk=Population(ys),
            N=K,
            resampling="systematic",
            ESSrmin=BELOW,
            collect=[collectors.Moments(mom_func=lambda W, X: W @ X)],
        )
        smc.run()
        return np.array(smc.summaries.moments), smc.logLt

    np.random.seed(0)
    return run
