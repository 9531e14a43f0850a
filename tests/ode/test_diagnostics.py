import warnings

import pytest
import torch

from latentode.ode import METHODS, CoarseGridWarning, SolveError, solve
from tests.ode.conftest import swing, swing_solution


def test_a_coarse_grid_warns_once_naming_the_series():
    field = lambda t, z, speed: torch.stack([z[:, 1], -z[:, 0]], 1) * speed  # noqa: E731
    z0, speed = torch.tensor([[1.0, 0.0]]).expand(3, 2), torch.tensor([[0.1], [12.0], [0.1]])
    times = torch.ones(3, 1)
    with pytest.warns(CoarseGridWarning, match="series 1:") as caught:
        solution = solve(field, z0, times, args=(speed,))
    assert len(caught) == 1
    assert solution.stats.error[1] > 0.1 > 1e-4 > solution.stats.error[0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        solve(field, z0, times, args=(speed,), coarse=None)
        solve(field, z0, times, args=(speed,), watch=False)
        solve(field, z0, times, args=(speed,), n_steps=200)


@pytest.mark.parametrize("method", METHODS)
def test_the_estimated_error_is_of_the_size_of_the_true_one_and_rather_too_large(method):
    z0 = torch.ones(1, 2, dtype=torch.float64)
    times = torch.tensor([[1.0]], dtype=torch.float64)
    for n_steps in (6, 12):
        solution = solve(swing, z0, times, method=method, n_steps=n_steps, coarse=None)
        exact = swing_solution(z0, times)
        true = max(float(((solution.z - exact) / exact).abs().max()), 1e-14)
        least = 0.25 if method == "fehlberg2" else 0.5  # the published pair is a poor judge of itself
        assert least * true < float(solution.stats.error) < 100 * true


def test_a_grid_is_coarse_from_a_hundredth_on_and_steps_chosen_by_their_error_never_are():
    z0, times = torch.ones(1, 1), torch.ones(1, 1)
    with pytest.warns(CoarseGridWarning, match=r"relative error up to 0\.\d+, above 0\.01"):
        solve(lambda t, z: -2.5 * z, z0, times, method="heun", n_steps=8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for independent in (False, True):
            options = {"method": "heun", "rtol": 0.5, "atol": 0.5, "independent": independent}
            rough = solve(lambda t, z: -9 * z, z0, times, **options)
            assert rough.stats.error.item() > 0.01


def test_statistics_count_what_was_done():
    counted = []

    def watched(t, z):
        counted.append(1)
        return torch.cos(9 * t) * z

    z0, times = torch.ones(2, 1), torch.rand(2, 5)
    for options in ({"n_steps": 3}, {"method": "dopri5"}, {"method": "euler", "n_steps": 4}):
        counted.clear()
        stats = solve(watched, z0, times, t1=1.0, coarse=None, **options).stats
        assert stats.evaluations == len(counted)
    assert stats.steps == 4
    stats = solve(watched, z0, times, t1=1.0, method="dopri5").stats
    assert stats.evaluations == 1 + 6 * (stats.steps + stats.rejected)


def test_a_solution_too_large_to_be_squared_is_named_by_series_and_time():
    with pytest.raises(SolveError, match="not finite: series 1 at t = 1"):
        solve(
            lambda t, z: torch.tensor([[1.0], [60.0]]) * z,
            torch.ones(2, 3),
            torch.ones(2, 1),
            t0=0.0,
            t1=1.0,
            method="rk4",
            n_steps=40,
        )


def test_an_error_too_large_to_be_squared_is_no_solution_though_the_state_is_small():
    field = lambda t, z: torch.where(t < 0.5, 1e25, -1e25).expand_as(z)  # noqa: E731
    with pytest.raises(SolveError, match="not finite: series 0 at t = 1"):
        solve(field, torch.ones(1, 2), torch.ones(1, 1), 0.0, 1.0, method="heun", n_steps=1)


@pytest.mark.parametrize("adjoint", ["discrete", "checkpointed", "continuous", "backsolve", "autograd", None])
@pytest.mark.parametrize("stops", [{}, {"jump_times": [0.3]}, {"step_times": [0.3]}], ids=str)
def test_the_estimated_error_is_the_same_whoever_takes_the_steps(adjoint, stops):
    """It is relative to the greatest state, which is the last one here."""
    z0, times = torch.tensor([[1.0], [-2.0]], dtype=torch.float64), torch.ones(2, 1, dtype=torch.float64)
    error = solve(lambda t, z: 5 * z * t, z0, times, n_steps=3, coarse=None, **stops).stats.error
    z0.requires_grad_(adjoint is not None)
    adjoint = adjoint or "discrete"
    taken = solve(lambda t, z: 5 * z * t, z0, times, n_steps=3, coarse=None, adjoint=adjoint, **stops).stats
    assert torch.allclose(taken.error, error, rtol=1e-12)
    assert (error > 0).all()


def test_the_estimated_error_of_a_smooth_field_is_the_same_where_it_might_jump():
    z0, times = torch.tensor([[1.0], [-2.0]], dtype=torch.float64), torch.ones(2, 1, dtype=torch.float64)
    for method in ("euler", "rk4", "bosh3", "kvaerno3"):
        smooth, jumping = (
            solve(lambda t, z: 5 * z * t, z0, times, n_steps=3, method=method, coarse=None, **stops).stats.error
            for stops in ({"step_times": [0.3, 0.8]}, {"jump_times": [0.3, 0.8]})
        )
        assert torch.allclose(smooth, jumping, rtol=1e-6)
