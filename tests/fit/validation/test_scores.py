"""Scores against their formulas, with gaps, offsets and a model that diverged."""

import numpy as np
import pytest

from sim.fit.validation.scores import scores

RNG = np.random.default_rng(0)
Y = RNG.normal(size=(50, 2)) * [1.0, 5.0] + [3.0, 0.0]
MODEL = Y + 0.3 * RNG.normal(size=Y.shape)


def test_scores_follow_their_formulas():
    result = scores(Y, MODEL)
    error = Y - MODEL
    np.testing.assert_allclose(result.rmse, np.sqrt(np.mean(error**2, 0)), rtol=1e-14)
    np.testing.assert_allclose(result.nrmse, result.rmse / np.std(Y, axis=0), rtol=1e-13)
    norms = [np.linalg.norm(error[:, i]) / np.linalg.norm(Y[:, i] - Y[:, i].mean()) for i in (0, 1)]
    np.testing.assert_allclose(result.fit_percent, 100 * (1 - np.array(norms)), rtol=1e-13)
    np.testing.assert_allclose(result.vaf, 100 * (1 - np.var(error, 0) / np.var(Y, 0)), rtol=1e-13)
    np.testing.assert_allclose(result.r_squared, 1 - result.nrmse**2, rtol=1e-13)


def test_a_missing_sample_counts_for_its_output_alone():
    y = Y.copy()
    y[[3, 7], 0] = np.nan
    result = scores(y, MODEL)
    seen = np.delete(np.arange(50), [3, 7])
    for got, part, whole in zip(
        result, scores(Y[seen, 0], MODEL[seen, 0]), scores(Y[:, 1], MODEL[:, 1]), strict=True
    ):
        np.testing.assert_allclose(got, [part, whole], rtol=1e-13)
        assert np.shape(part) == ()


def test_an_offset_changes_all_scores_but_the_variance_accounted_for():
    result = scores(Y, Y + 1.0)
    np.testing.assert_allclose(result.vaf, 100)
    np.testing.assert_allclose(result.rmse, 1)


def test_float32_records_are_scored_in_float64():
    y = (1e4 + np.arange(100)).astype("float32")
    np.testing.assert_allclose(scores(y, y + np.float32(1)).nrmse, 1 / np.std(np.arange(100)))


def test_a_model_that_diverged_has_no_score_and_a_constant_output_no_relative_one():
    diverged = Y.copy()
    diverged[-1, 0] = np.inf
    result = scores(Y, diverged)
    assert np.isnan(result.rmse[0]) and result.rmse[1] == 0
    assert scores(np.ones(4), np.zeros(4)).nrmse == np.inf


def test_mistakes_are_named():
    with pytest.raises(ValueError, match=r"yhat: expected the shape of y, \(50, 2\), got \(50,\)"):
        scores(Y, MODEL[:, 0])
    with pytest.raises(
        ValueError, match="y: expected numbers in each output, got only NaN in output 1"
    ):
        scores(Y * [1, np.nan], MODEL)
