import pytest
import torch

from latentode.nn.dynamics import MLPDynamics
from tests.ode.conftest import Hidden
from tests.ode.held import peak_of


@pytest.fixture(params=[False, pytest.param(True, marks=pytest.mark.slow)], ids=["analytic", "general"])
def field(request):
    torch.manual_seed(0)
    field = MLPDynamics(4, (16,))
    return Hidden(field) if request.param else field


def test_with_checkpoints_what_is_held_grows_with_the_square_root_of_the_steps(field):
    few, many = (peak_of("checkpointed", n, field) for n in (10, 160))
    assert many < 4.4 * few  # four times, and a tenth
    assert peak_of("discrete", 160, field, every=250) > 12 * peak_of("discrete", 10, field)
