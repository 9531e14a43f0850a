import math

import numpy as np
import pytest
import torch
from scipy.integrate import RK45

from latentode.ode import METHODS, solve
from latentode.ode.methods.dopri5 import DOPRI5
from tests.ode.methods.trees import dense_slopes, dense_weights, matrix, order_of, orders_of, step_weights


def test_the_weights_are_those_of_scipy():
    a = matrix(DOPRI5.tableau)
    assert a[:6, :5] == pytest.approx(RK45.A, abs=1e-15)
    assert DOPRI5.tableau.b == pytest.approx(RK45.B, abs=1e-15)
    assert DOPRI5.tableau.c == pytest.approx(RK45.C, abs=1e-15)
    assert DOPRI5.tableau.error == pytest.approx(-RK45.E, abs=1e-15)


def test_the_interpolant_is_that_of_scipy():
    rows = np.array([row + (0.0,) * (4 - len(row)) for row in DOPRI5.dense])
    assert rows == pytest.approx(RK45.P, abs=1e-9)


def test_step_estimate_and_interpolant_have_orders_5_4_and_4():
    tableau = DOPRI5.tableau
    assert orders_of(tableau) == (5, 4)
    assert [order_of(tableau, dense_weights(DOPRI5, theta), theta) for theta in (0.2, 0.5, 0.9)] == [4, 4, 4]


def test_the_interpolant_meets_both_ends_with_both_slopes():
    assert dense_weights(DOPRI5, 1.0) == pytest.approx(step_weights(DOPRI5.tableau), abs=1e-12)
    assert dense_slopes(DOPRI5, 0.0) == pytest.approx(np.eye(7)[0], abs=1e-12)
    assert dense_slopes(DOPRI5, 1.0) == pytest.approx(np.eye(7)[6], abs=1e-12)


def test_one_step_is_scipys_at_its_end_and_inside():
    def slope(t, y):
        return np.array([y[1], -math.sin(y[0]) + math.cos(t)])

    def field(t, z):
        return torch.stack([z[:, 1], -torch.sin(z[:, 0]) + torch.cos(t[:, 0])], 1)

    h, start = 0.3, [0.5, -0.2]
    theirs = RK45(slope, 0.0, start, t_bound=h, first_step=h, rtol=1e3, atol=1e3)
    theirs.step()
    assert theirs.t == h
    times = torch.tensor([0.1, 0.2, h], dtype=torch.float64)
    options = {"t1": h, "method": "dopri5", "n_steps": 1, "coarse": None}
    ours = solve(field, torch.tensor([start], dtype=torch.float64), times, **options).z[0]
    assert ours[-1].numpy() == pytest.approx(theirs.y, abs=1e-14)
    assert ours[:2].numpy() == pytest.approx(theirs.dense_output()(times[:2].numpy()).T, abs=1e-10)


def test_it_is_the_method_of_that_name_and_chooses_its_steps():
    assert METHODS["dopri5"] is DOPRI5
    assert DOPRI5.adaptive
