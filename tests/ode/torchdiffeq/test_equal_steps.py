import random

import pytest
import torch

from latentode.ode import odeint
from latentode.ode.torchdiffeq.equal_steps import inner_nodes, steps_of_size

SPANS = [
    (round(a, 1), round(a + way * n / 10, 1)) for a in (0.0, -3.7, 12.3) for n in range(1, 240, 5) for way in (1, -1)
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_nodes_of_a_step_size_rise_strictly_and_end_just_a_step_before_the_end(dtype):
    for begin, end in SPANS:
        for size in (0.01, 0.1, 0.05):
            t = torch.tensor([begin, end], dtype=dtype)
            nodes = torch.cat([t[:1], inner_nodes(t[0], t[1], size), t[1:]]).double()
            assert len(nodes) == round(abs(end - begin) / size) + 1, (begin, end, size)
            steps = nodes.diff() * (1 if end > begin else -1)
            assert float((steps - size).abs().max()) < 1e-5


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_solve_of_a_step_size_ends_where_its_times_do(dtype):
    draw = random.Random(0)
    for begin, end in [(0.0, 5.9), (100.0, 100.3), (5.9, 0.0), *draw.sample(SPANS, 12)]:
        t = torch.tensor([begin, end], dtype=dtype)
        moving = t.clone().requires_grad_()
        options = {"method": "euler", "options": {"step_size": 0.1}}
        y = odeint(lambda t, y: torch.ones_like(y), torch.zeros(1, dtype=dtype), t, **options)[-1]
        assert float(y) == pytest.approx(end - begin, rel=1e-4)
        y = odeint(lambda t, y: torch.ones_like(y), torch.zeros(1, dtype=dtype), moving, **options)[-1]
        assert float(y) == pytest.approx(end - begin, rel=1e-4)


def test_a_remainder_is_a_step_unless_it_is_rounding():
    for end, n in ((1.0, 4), (0.9, 3), (0.90001, 4), (0.95, 4), (0.1, 1)):
        assert steps_of_size(torch.tensor(0.0), torch.tensor(end), 0.3) == n


def test_steps_that_rounding_swallows_are_refused():
    with pytest.raises(ValueError, match=r"steps of 1e-07 are lost in the rounding of times like 1 in torch\.float32"):
        odeint(lambda t, y: -y, torch.ones(1), torch.tensor([0.0, 1.0]), method="rk4", options={"step_size": 1e-7})
