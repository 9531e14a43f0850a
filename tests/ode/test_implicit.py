"""The L-stable methods on stiff fields, against SciPy's Radau, alone and beside easy series."""

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

from latentode.ode import SolveError, solve
from latentode.ode.implicit import jacobian_of

STIFFNESS = (1.0, 10.0, 100.0, 1000.0)
END = 2.0


def van_der_pol(t: Tensor, z: Tensor, mu: Tensor) -> Tensor:
    return torch.stack([z[:, 1], mu[:, 0] * (1 - z[:, 0] ** 2) * z[:, 1] - z[:, 0]], 1)


def radau(mu: float) -> np.ndarray:
    slope = lambda t, y: [y[1], mu * (1 - y[0] ** 2) * y[1] - y[0]]  # noqa: E731
    return solve_ivp(slope, (0.0, END), [2.0, 0.0], "Radau", rtol=1e-10, atol=1e-12).y[:, -1]


def inputs(*mu: float) -> tuple[Tensor, Tensor, tuple[Tensor]]:
    z0 = torch.tensor([[2.0, 0.0]], dtype=torch.float64).repeat(len(mu), 1)
    return z0, torch.full((len(mu), 1), END, dtype=torch.float64), (torch.tensor(mu, dtype=torch.float64).unsqueeze(1),)


@pytest.mark.parametrize("independent", [False, True], ids=["shared steps", "own steps"])
@pytest.mark.parametrize(
    ("tol", "method"),
    [
        (1e-4, "kvaerno3"),
        (1e-4, "kvaerno5"),
        pytest.param(1e-7, "kvaerno3", marks=pytest.mark.slow),
        pytest.param(1e-7, "kvaerno5", marks=pytest.mark.slow),
    ],
)
def test_a_batch_of_mixed_stiffness_agrees_with_radau(method, tol, independent):
    z0, times, args = inputs(*STIFFNESS)
    z = solve(van_der_pol, z0, times, args=args, method=method, rtol=tol, atol=tol, independent=independent).z
    error = np.abs(z[:, 0].numpy() - np.stack([radau(mu) for mu in STIFFNESS]))
    assert (error < 20 * tol * (1 + np.abs(z[:, 0].numpy()))).all()


def test_the_stiffest_series_takes_a_small_part_of_the_steps_of_an_explicit_method():
    z0, times, args = inputs(1000.0)
    options = {"args": args, "rtol": 1e-4, "atol": 1e-4}
    implicit = solve(van_der_pol, z0, times, method="kvaerno3", **options).stats
    explicit = solve(van_der_pol, z0, times, method="tsit5", **options).stats
    assert implicit.steps + implicit.rejected < (explicit.steps + explicit.rejected) / 10


def test_a_decay_much_faster_than_the_steps_goes_to_zero_in_one_of_them():
    """L-stability: the stability function vanishes at infinity, so a stiff part leaves no echo."""
    z0 = torch.ones(1, 1, dtype=torch.float64)
    times = torch.ones(1, 1, dtype=torch.float64)
    for method in ("kvaerno3", "kvaerno5"):
        z = solve(lambda t, z: -1e8 * z, z0, times, method=method, n_steps=1, coarse=None).z
        assert z.abs().max() < 1e-6


@pytest.mark.parametrize("method", ["kvaerno3", "kvaerno5"])
def test_a_stage_that_cannot_be_solved_is_none(method):
    """Newton's method goes to and fro, further and further out."""
    z0, times = torch.full((1, 1), 3.0, dtype=torch.float64), torch.ones(1, 1, dtype=torch.float64)
    with pytest.raises(SolveError, match="not finite"):
        solve(lambda t, z: -1000.0 * torch.atan(z), z0, times, method=method, n_steps=1)


@pytest.mark.parametrize("independent", [False, True], ids=["shared steps", "own steps"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_between_the_nodes_of_a_stiff_solve_its_slopes_do_not_magnify_what_is_left_over_in_the_stages(
    dtype, independent
):
    def field(t, z):
        return -1e7 * (z**3 - torch.cos(t) ** 3) - torch.sin(t)

    times, tolerance = torch.linspace(0.0, 1.2, 40, dtype=dtype), 1e-4 if dtype == torch.float32 else 1e-2
    options = {"method": "kvaerno5", "rtol": tolerance, "atol": tolerance, "independent": independent}
    z = solve(field, torch.ones(1, 1, dtype=dtype), times, **options).z
    assert torch.allclose(z[0, :, 0], torch.cos(times), atol=0.01)


@pytest.mark.parametrize(
    "adjoint",
    [
        "discrete",
        pytest.param("checkpointed", marks=pytest.mark.slow),
        pytest.param("autograd", marks=pytest.mark.slow),
    ],
)
def test_the_gradient_through_a_stiff_solve_agrees_with_finite_differences(adjoint):
    z0, times, (mu,) = inputs(100.0)
    mu.requires_grad_()
    options = {"method": "kvaerno5", "rtol": 1e-9, "atol": 1e-9, "adjoint": adjoint}
    (gradient,) = torch.autograd.grad(solve(van_der_pol, z0, times, args=(mu,), **options).z[0, 0, 0], mu)
    step = 1e-2
    high, low = (solve(van_der_pol, z0, times, args=(mu.detach() + s,), **options).z[0, 0, 0] for s in (step, -step))
    torch.testing.assert_close(gradient[0, 0], (high - low) / (2 * step), rtol=1e-4, atol=1e-12)


def test_an_explicit_method_that_meets_a_stiff_series_says_which_and_where():
    z0, times, args = inputs(1.0, 1e7)
    with pytest.raises(SolveError, match=r"limit|step") as caught:
        solve(van_der_pol, z0, times, args=args, method="tsit5", rtol=1e-4, atol=1e-4, max_steps=200)
    assert "series 1" in str(caught.value) or 1 in caught.value.series


@pytest.mark.parametrize("independent", [False, True])
@pytest.mark.parametrize("method", ["kvaerno3", "kvaerno5"])
def test_an_implicit_method_counts_the_evaluations_of_its_stages(monkeypatch, method, independent):
    counted = []

    def field(t, z):
        counted.append(1)
        return torch.cos(9 * t) * z

    def jacobian(function, z):
        before = len(counted)
        answer = jacobian_of(function, z)
        del counted[before:]  # those for the Jacobian are not counted
        return answer

    monkeypatch.setattr("latentode.ode.problem.jacobian_of", jacobian)
    z0, times = torch.ones(2, 1, dtype=torch.float64), torch.tensor([[1.0], [0.3]], dtype=torch.float64)
    for n_steps in (None, 3):
        counted.clear()
        stats = solve(field, z0, times, method=method, n_steps=n_steps, independent=independent, coarse=None).stats
        assert stats.evaluations == len(counted)


def test_a_jacobian_has_gradients_if_and_only_if_something_is_trainable():
    z, rate = torch.ones(2, 3), torch.ones(3, requires_grad=True)
    assert not jacobian_of(lambda z: z**2, z).requires_grad
    assert jacobian_of(lambda z: rate * z**2, z).requires_grad
    assert jacobian_of(lambda z: z**2, z.clone().requires_grad_()).requires_grad
    assert torch.equal(jacobian_of(lambda z: torch.ones_like(z), z), torch.zeros(2, 3, 3))
    for method in ("kvaerno3", "kvaerno5"):
        solution = solve(lambda t, z: -z, z, torch.ones(1), method=method, adjoint="autograd")
        assert not solution.z.requires_grad
