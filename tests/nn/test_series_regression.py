"""Regression per series in closed form."""

import numpy as np
import torch
from torch.autograd import gradcheck

from latentode.nn.series_regression import SeriesRegression


def _regression(n_channels=2, n_features=3, seed=0):
    torch.manual_seed(seed)
    regression = SeriesRegression(n_channels, n_features).double()
    with torch.no_grad():
        for parameter in regression.parameters():
            parameter.add_(0.5 * torch.randn_like(parameter))
    return regression


def _data(n_series=2, n_rows=9, n_channels=2, n_features=3, seed=0):
    rng = torch.Generator().manual_seed(seed)
    features = torch.randn(n_series, n_rows, n_features, generator=rng, dtype=torch.float64)
    values = torch.randn(n_series, n_rows, n_channels, generator=rng, dtype=torch.float64)
    mask = (torch.rand(values.shape, generator=rng) < 0.6).double()
    return features, values * mask, mask


def test_the_coefficients_are_those_of_ridge_regression_towards_the_learned_ones():
    regression, (features, values, mask) = _regression(), _data()
    found = regression(features, values, mask).detach().numpy()
    for series in range(2):
        for channel in range(2):
            seen = mask[series, :, channel].numpy() > 0
            x = np.column_stack([features[series].numpy()[seen], np.ones(seen.sum())])
            prior = np.append(regression.mean[channel].detach().numpy(), 0.0)
            precision = np.diag(regression.log_precision[channel].detach().exp().numpy())
            y = values[series, :, channel].numpy()[seen] - x @ prior
            expected = prior + np.linalg.solve(x.T @ x + precision, x.T @ y)
            np.testing.assert_allclose(found[series, channel], expected[:-1], rtol=1e-10)


def test_a_series_without_observations_has_the_coefficients_of_the_population():
    regression, (features, values, mask) = _regression(), _data()
    found = regression(features, 0 * values, 0 * mask)
    assert torch.equal(found, regression.mean.expand_as(found))


def test_a_series_with_many_observations_has_its_own():
    regression, (features, _, mask) = _regression(n_channels=1), _data(n_rows=20_000, n_channels=1)
    own = torch.tensor([[[0.7, -0.2, 0.1]], [[-0.4, 0.6, 0.3]]], dtype=torch.float64)
    found = regression(features, (features @ own.mT + 1.5) * mask, mask)
    assert torch.allclose(found, own, atol=3e-3)


def test_padding_and_other_series_change_nothing():
    regression, (features, values, mask) = _regression(), _data(n_rows=5)
    padded = [torch.cat([x, torch.full_like(x[:, :2], fill)], dim=1) for x, fill in ((features, 7.0), (mask, 0.0))]
    values = torch.cat([values, torch.zeros_like(values[:, :2])], dim=1)
    longer = regression(padded[0], values, padded[1])
    alone = regression(features[:1], values[:1, :5], mask[:1])
    assert torch.allclose(longer[:1], alone, rtol=1e-12)


def test_the_gradients_are_exact():
    regression, (features, values, mask) = _regression(), _data()

    def coefficients(features, values, *parameters):
        own = dict(zip(("mean", "log_precision"), parameters, strict=True))
        return torch.func.functional_call(regression, own, (features, values, mask))

    inputs = [x.requires_grad_() for x in (features, values)]
    assert gradcheck(coefficients, (*inputs, regression.mean, regression.log_precision))


def test_collinear_and_large_features_in_single_precision_are_regressed_on():
    features = 100 * torch.randn(1, 256, 1).expand(-1, -1, 24)
    values = 0.02 * features[..., :1]
    regression = SeriesRegression(1, 24)
    with torch.no_grad():
        regression.log_precision.fill_(-50.0)  # it is bounded
    found = regression(features, values, torch.ones_like(values))
    assert torch.allclose(features @ found.mT, values, atol=1e-3)


def test_an_outlier_does_not_dominate():
    feature, mask = torch.linspace(-1, 1, 101)[None, :, None], torch.ones(1, 101, 1)
    values = feature.clone()
    values[0, -1] = 1e6
    assert SeriesRegression(1, 1)(feature, values, mask).item() < 1.2
