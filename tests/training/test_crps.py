import pytest
import torch
from scipy.integrate import quad
from scipy.stats import norm

from latentode.training.crps import gaussian_crps


@pytest.mark.parametrize(("mean", "scale", "target"), [(0.0, 1.0, 0.0), (1.0, 0.3, -0.5), (-2.0, 4.0, 3.0)])
def test_the_crps_is_the_integral_that_defines_it(mean, scale, target):
    left, _ = quad(lambda x: norm.cdf(x, mean, scale) ** 2, -60, target)
    right, _ = quad(lambda x: norm.sf(x, mean, scale) ** 2, target, 60)
    found = gaussian_crps(*(torch.tensor(v, dtype=torch.float64) for v in (mean, scale, target)))
    assert float(found) == pytest.approx(left + right, rel=1e-6)


def test_the_crps_of_a_sure_answer_is_its_distance():
    found = gaussian_crps(torch.tensor(1.0), torch.tensor(1e-6), torch.tensor([3.0, 1.0, -1.0]))
    torch.testing.assert_close(found, torch.tensor([2.0, 0.0, 2.0]), atol=1e-5, rtol=0)
