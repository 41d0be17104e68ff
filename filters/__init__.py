"""State estimation as steps that `sim.rollout` drives, forwards to filter, back to smooth.

They import `sim` alone, never `integrators`. Symbols: ``m P`` mean and covariance of the
state, ``F Q`` transition and its noise, ``H R`` observation and its noise, ``S`` innovation
covariance, ``K`` gain, ``y`` observation.

Each filter, and the smoothers and samplers that take its estimates:

    kalman, nonlinear, robust(…), continuous_extended,   rts, parallel_rts, fixed_lag,
        steady_state_kalman (not fixed_lag)              posterior_samples
    information_kalman, where the state is determined    rts, parallel_rts, posterior_samples
    parallel_kalman                                      parallel_rts, rts, posterior_samples
    square_root_kalman                                   square_root_rts; rts where P⁻ is regular
    diffuse_kalman                                       diffuse_smoother
    bootstrap                                            none

Users import from here. A filter has the name of its file, and here that name is always the
function: ``from filters import kalman``. The other functions of a file serve new filters:
``from filters.kalman import split_observation``.
"""

from filters.chi_square import chi2_quantile
from filters.continuous import continuous_extended
from filters.cubature import cubature
from filters.dataset import dataset
from filters.diagnostics import (
    autocorrelation,
    chi2_bounds,
    consistency,
    degrees,
    jarque_bera,
    ljung_box,
    nees,
    nis,
    standardise,
)
from filters.diffuse import DiffuseEstimate, diffuse_kalman
from filters.diffuse_smoother import diffuse_smoother
from filters.discretise import LinearSDE, discretise, intervals
from filters.extended import extended
from filters.fixed_lag import fixed_lag
from filters.forecast import Forecast, forecast, interval
from filters.gauss_hermite import gauss_hermite
from filters.gaussian import Estimate, Expected, Gaussian, Predicted, gaussian_filter
from filters.information import Information, InformationEstimate, information, information_kalman
from filters.iterated import iterated_extended
from filters.kalman import LinearGaussian, kalman
from filters.nonlinear import Nonlinear
from filters.parallel import parallel_kalman, parallel_rts
from filters.particle import ParticleEstimate, bootstrap, draws
from filters.robust import gate, huber, robust, student_t
from filters.rts import rts
from filters.sampling import backward_sampler, posterior_samples
from filters.series import kalman_series
from filters.square_root import SquareRootEstimate, square_root_kalman
from filters.square_root_rts import square_root_rts
from filters.steady_state import steady_state, steady_state_kalman
from filters.uncertainty import observed_information, uncertainty
from filters.unscented import unscented

standardised = standardise  # its earlier name

__all__ = [
    "DiffuseEstimate",
    "Estimate",
    "Expected",
    "Forecast",
    "Gaussian",
    "Information",
    "InformationEstimate",
    "LinearGaussian",
    "LinearSDE",
    "Nonlinear",
    "ParticleEstimate",
    "Predicted",
    "SquareRootEstimate",
    "autocorrelation",
    "backward_sampler",
    "bootstrap",
    "chi2_bounds",
    "chi2_quantile",
    "consistency",
    "continuous_extended",
    "cubature",
    "dataset",
    "degrees",
    "diffuse_kalman",
    "diffuse_smoother",
    "discretise",
    "draws",
    "extended",
    "fixed_lag",
    "forecast",
    "gate",
    "gauss_hermite",
    "gaussian_filter",
    "huber",
    "information",
    "information_kalman",
    "interval",
    "intervals",
    "iterated_extended",
    "jarque_bera",
    "kalman",
    "kalman_series",
    "ljung_box",
    "nees",
    "nis",
    "observed_information",
    "parallel_kalman",
    "parallel_rts",
    "posterior_samples",
    "robust",
    "rts",
    "square_root_kalman",
    "square_root_rts",
    "standardise",
    "standardised",
    "steady_state",
    "steady_state_kalman",
    "student_t",
    "uncertainty",
    "unscented",
]
