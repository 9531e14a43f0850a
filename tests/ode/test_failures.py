import math

import pytest
import torch

from latentode.ode import SolveError, solve

NAN = float("nan")


def blow_up(t, z):
    """z' = z^2 reaches infinity at t = 1 / z0."""
    return z**2


def test_a_solution_that_blows_up_is_an_error_naming_the_series_and_the_time():
    z0 = torch.tensor([[0.1], [2.0], [0.2]], dtype=torch.float64)
    times = torch.ones(3, 1, dtype=torch.float64)
    with pytest.raises(SolveError, match="step fell under its minimum") as caught:
        solve(blow_up, z0, times, method="dopri5")
    assert caught.value.series == (1,)
    assert caught.value.times[0] == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize("method", ["rk4", "dopri5"])
def test_the_other_series_are_left_intact_and_the_failed_one_is_nan(method):
    def broken(t, z):
        return torch.where((t > 0.5) & (z > 1.0), NAN, -z)

    z0 = torch.tensor([[0.1], [9.0], [0.2]], dtype=torch.float64, requires_grad=True)
    times = torch.ones(3, 2, dtype=torch.float64)
    with pytest.raises(SolveError, match="not finite") as caught:
        solve(broken, z0, times, method=method)
    assert caught.value.series == (1,)
    z = solve(broken, z0, times, method=method, on_failure="nan").z
    good = torch.tensor([0, 2])
    assert z[1].isnan().all()
    assert torch.allclose(z[good], z0[good].unsqueeze(1) * math.exp(-1), rtol=1e-3)
    (g,) = torch.autograd.grad(z[good].sum(), z0)
    assert torch.isfinite(g).all()


def test_a_field_without_a_value_at_the_start_whatever_the_state_is_an_error():
    field = lambda t, z: torch.where(torch.tensor([[False], [True]]), NAN, -z)  # noqa: E731
    with pytest.raises(SolveError, match="not finite: series 1 at t = 0"):
        solve(field, torch.ones(2, 1), torch.ones(2, 1), t0=0.0, method="tsit5", on_failure="nan")


def test_a_start_that_is_not_finite_is_named():
    z0 = torch.tensor([[1.0], [NAN]])
    for method in ("rk4", "dopri5"):
        with pytest.raises(SolveError) as caught:
            solve(lambda t, z: -z, z0, torch.ones(2, 1), method=method)
        assert caught.value.series == (1,)


def test_too_many_steps_are_an_error():
    with pytest.raises(SolveError, match=r"limit of 5 steps .*: series 0 at .* Raise max_steps, or loosen rtol"):
        solve(lambda t, z: torch.cos(50 * t) * z, torch.ones(1, 1), torch.ones(1, 1), method="tsit5", max_steps=5)


def test_the_causes_of_many_series_are_reported_in_short():
    few, many = (SolveError("It broke", range(n), [0.5 + i for i in range(n)], "Mend it.") for n in (8, 9))
    shown = ", ".join(f"{i} at t = {i}.5" for i in range(8))
    assert str(few) == f"It broke: series {shown}. Mend it."
    assert str(many) == f"It broke: series {shown} and 1 more. Mend it."
    assert many.reached == many.times == tuple(0.5 + i for i in range(9))


def test_series_that_blow_up_on_either_side_keep_what_they_have_on_both():
    z0 = torch.tensor([[2.0], [0.1], [-2.0]], dtype=torch.float64)  # z = z0 / (1 - z0 t)
    times = torch.tensor([-1.0, -0.45, -0.2, 0.2, 0.45, 1.0], dtype=torch.float64)
    options = {"method": "tsit5", "rtol": 1e-5, "atol": 1e-7, "min_step": 1e-4, "on_failure": "nan"}
    truth = z0 / (1 - z0 * times)
    truth[0, 5] = truth[2, 0] = NAN
    for queried in (slice(0, 6), slice(0, 3), slice(3, 6)):
        z = solve(lambda t, z: z**2, z0, times[queried], **options).z[..., 0]
        assert torch.allclose(z, truth[:, queried], rtol=1e-3, equal_nan=True)
    for t1, t_back in ((4.0, 2.0), (2.0, 4.0)):
        z = solve(lambda t, z: z**2, z0, times + 3, 3.0, t1, t_back=t_back, **options).z[..., 0]
        assert torch.allclose(z, truth, rtol=1e-3, equal_nan=True)


def test_a_series_without_a_start_is_nan_beside_the_others_whatever_they_are_made_of():
    z0 = torch.ones(2, 3)
    z0[1, 2] = NAN
    for method in ("rk4", "tsit5"):
        z = solve(lambda t, z: -z, z0, torch.ones(2, 1), method=method, on_failure="nan").z
        assert z[1].isnan().all()
        assert torch.allclose(z[0], torch.full((1, 3), math.exp(-1)), rtol=1e-3)


def test_a_series_that_was_given_up_is_not_stepped_with_the_others():
    def field(t, z):
        given_up = torch.tensor([[False], [True]])
        return torch.where(given_up & ((z > 0.5) | (t > 0.5)), NAN, -z)

    z0 = torch.tensor([[1.0], [2.0]], dtype=torch.float64)
    z = solve(field, z0, torch.ones(2, 1).double(), method="tsit5", on_failure="nan").z[..., 0]
    assert float(z[0]) == pytest.approx(math.exp(-1), rel=1e-3)
    assert z[1].isnan()


def test_a_series_whose_grid_breaks_keeps_its_answers_up_to_the_last_whole_step():
    def broken(t, z):
        return torch.where((t > 2.2) & (z > 1.0), NAN, 0.0 * z)

    z0, times = torch.tensor([[2.0], [0.5]], dtype=torch.float64), torch.tensor([0.5, 1.0, 4.0], dtype=torch.float64)
    ends = torch.tensor([4.0, 3.0], dtype=torch.float64)  # the second has nodes at 0, 0.75, 1.5, 2.25, 3
    for z1, where, whole in ((0.5, (2.0,), (1.0,)), (2.0, (2.0, 1.5), (1.0, 0.75))):
        with pytest.raises(SolveError, match="the solution is not finite: series 0 at t = 2") as caught:
            solve(broken, torch.tensor([[2.0], [z1]]).double(), times[:2], 0.0, ends, n_steps=4)
        assert (caught.value.times, caught.value.reached) == (where, whole)
    queried = z0.clone().requires_grad_()
    for adjoint in ("discrete", "checkpointed", "continuous", "backsolve", "autograd"):
        for stops, where, whole in ((None, 2.0, 1.0), ([1.0], 2.0, 1.0), ([1.5], 1.5, 0.75)):
            with pytest.raises(SolveError, match="not finite: series 0 at t = ") as caught:
                solve(broken, queried, times, n_steps=4, step_times=stops, adjoint=adjoint)
            assert caught.value.times == pytest.approx((where,))
            assert caught.value.reached == pytest.approx((whole,))
    z = solve(broken, z0, times, n_steps=4, on_failure="nan").z[..., 0]
    assert z[0, :2].tolist() == [2.0, 2.0]
    assert z[0, 2].isnan()
    assert z[1].tolist() == [0.5, 0.5, 0.5]
