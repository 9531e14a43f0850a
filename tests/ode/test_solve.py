import math
from functools import partial

import pytest
import torch

from latentode.nn.dynamics import MLPDynamics
from latentode.ode import METHODS, SolveError, solve
from tests.ode.conftest import Hidden, swing

NAN = float("nan")


def field_and_start(n_series=5, dtype=torch.float64):
    return MLPDynamics(3, (8, 8), time_dependent=True).to(dtype), torch.randn(n_series, 3, dtype=dtype)


@pytest.mark.parametrize("method", METHODS)
def test_both_sides_of_the_start_are_answered_in_one_call(method):
    z0 = torch.tensor([[1.0, 2.0], [0.5, -1.0]], dtype=torch.float64)
    t0 = torch.tensor([0.5, -0.3], dtype=torch.float64)
    times = torch.tensor([[1.5, -0.5, 0.5, 0.0], [-0.3, 0.9, -1.3, 0.2]], dtype=torch.float64)
    implicit, order = METHODS[method].implicit, METHODS[method].order  # its steps take long: no more than it needs
    n_steps = {1: 220, 2: 80 if implicit else 110, 3: 18}.get(order, 8)
    z = solve(swing, z0, times, t0, method=method, n_steps=n_steps, coarse=None).z
    exact = z0.unsqueeze(1) * torch.exp(torch.sin(times) - torch.sin(t0).unsqueeze(1)).unsqueeze(-1)
    assert torch.allclose(z, exact, atol=6e-3 if METHODS[method].order == 1 else 1e-4)
    assert torch.equal(z[0, 2], z0[0])
    assert torch.equal(z[1, 0], z0[1])


@pytest.mark.parametrize("hidden", [False, True])
def test_a_series_alone_equals_the_same_series_in_any_company(hidden):
    field, z0 = field_and_start()
    field = Hidden(field) if hidden else field
    times = torch.rand(5, 7, dtype=torch.float64) * 2 - 1
    together = solve(field, z0, times, 0.0, 1.0, t_back=-1.0, coarse=None).z
    for i in range(5):
        alone = solve(field, z0[i : i + 1], times[i : i + 1], 0.0, 1.0, t_back=-1.0, coarse=None).z
        assert torch.allclose(together[i], alone[0], atol=1e-14)


def test_the_grid_of_a_series_depends_on_its_span_only_and_not_on_its_queries():
    field, z0 = field_and_start()
    times = torch.rand(5, 7, dtype=torch.float64)
    few = solve(field, z0, times[:, :2], 0.0, 1.0).z
    assert torch.equal(few, solve(field, z0, times, 0.0, 1.0).z[:, :2])


def test_order_and_duplicates_of_queries_do_not_matter():
    field, z0 = field_and_start()
    times = torch.rand(5, 7, dtype=torch.float64) * 2 - 1
    shuffle = torch.tensor([3, 0, 6, 6, 2, 1, 5, 4, 3])
    z = solve(field, z0, times, coarse=None).z
    assert torch.equal(solve(field, z0, times[:, shuffle], coarse=None).z, z[:, shuffle])


@pytest.mark.parametrize("adjoint", ["discrete", "backsolve", "autograd"])
def test_a_missing_query_gives_nan_out_and_no_nan_in_any_gradient(adjoint):
    field, z0 = field_and_start()
    times = torch.rand(5, 4, dtype=torch.float64) * 2 - 1
    times[0, 1:] = NAN
    times[3] = NAN
    z0.requires_grad_()
    times.requires_grad_()
    z = solve(field, z0, times, adjoint=adjoint, coarse=None).z
    assert torch.equal(z.isnan().all(-1), times.isnan())
    assert torch.equal(z.isnan().any(-1), times.isnan())
    upstream = torch.where(z.isnan(), NAN, 1.0)
    gradients = torch.autograd.grad(z, [z0, times, *field.parameters()], upstream)
    assert all(torch.isfinite(g).all() for g in gradients)
    assert torch.equal(gradients[1][times.isnan()], torch.zeros(7, dtype=torch.float64))
    assert torch.equal(gradients[0][3], torch.zeros(3, dtype=torch.float64))


def test_no_query_and_no_series_are_answered_with_nothing():
    field, z0 = field_and_start()
    assert solve(field, z0, torch.empty(5, 0, dtype=torch.float64)).z.shape == (5, 0, 3)
    assert solve(field, z0[:0], torch.empty(0, 4, dtype=torch.float64), watch=False).z.shape == (0, 4, 3)


def test_nothing_is_read_by_the_host_when_the_span_is_given_and_unwatched():
    """On the meta device there is nothing to read: reading would raise."""
    field = MLPDynamics(3, (8,)).to("meta")
    z0, times = torch.empty(4, 3, device="meta"), torch.empty(4, 5, device="meta")
    z = solve(field, z0, times, 0.0, 1.0, t_back=-1.0, watch=False).z
    z.sum().backward()
    assert z.shape == (4, 5, 3)


def test_times_may_be_finer_than_the_state():
    z0 = torch.ones(1, 1)
    t0 = 1.7e9
    times = torch.tensor([[t0 + 0.25, t0 + 0.5]], dtype=torch.float64)
    z = solve(lambda t, z: -z, z0, times, t0).z
    assert z.dtype == torch.float32
    assert torch.allclose(z.squeeze(), torch.tensor([math.exp(-0.25), math.exp(-0.5)]), rtol=1e-4)


def test_integers_become_floats_and_complex_states_are_refused():
    z = solve(lambda t, z: -z, torch.ones(1, 1), torch.tensor([[1, 2]]), t0=0).z
    assert torch.allclose(z.squeeze(), torch.tensor([math.exp(-1), math.exp(-2)]), rtol=1e-3)
    z = solve(lambda t, z: -z, torch.ones(1, 1, dtype=torch.int64), torch.tensor([[1.0]])).z
    assert z.dtype == torch.float32
    assert float(z) == pytest.approx(math.exp(-1), rel=1e-3)
    with pytest.raises(TypeError, match="complex states"):
        solve(lambda t, z: -z, torch.ones(1, 1, dtype=torch.complex64), torch.ones(1, 1))


@pytest.mark.parametrize(
    ("method", "adjoint"),
    [
        # Implicit steps take long, and the adjoints of the equation refuse them.
        pytest.param(
            method, adjoint, marks=[pytest.mark.slow] if method == "kvaerno3" and adjoint != "discrete" else []
        )
        for method in ("rk4", "tsit5", "kvaerno3")
        for adjoint in ("discrete", "checkpointed", "continuous", "backsolve", "autograd")
        if method != "kvaerno3" or adjoint not in ("continuous", "backsolve")
    ],
)
def test_a_state_of_another_precision_than_the_default_keeps_its_own(method, adjoint):
    def gradients(stops, independent):
        z0, times = torch.ones(2, 1, requires_grad=True, dtype=torch.float32), torch.tensor([[0.5], [1.0]]).float()
        field = lambda t, z: -z * torch.cos(t)  # noqa: E731
        options = {"method": method, "adjoint": adjoint, "jump_times": stops, "independent": independent}
        options["n_steps"] = 6 if method == "rk4" and not independent else None
        z = solve(field, z0, times, 0.0, 1.0, t_back=-1.0, on_failure="nan", **options).z
        return z, *torch.autograd.grad(z.sum(), z0)

    for stops in (None, [0.3]):
        for independent in (False, True) if adjoint != "checkpointed" else (False,):
            usual = gradients(stops, independent)
            torch.set_default_dtype(torch.float64)
            try:
                other = gradients(stops, independent)
            finally:
                torch.set_default_dtype(torch.float32)
            assert [x.dtype for x in other] == [torch.float32] * 2
            assert all(torch.allclose(a, b, rtol=1e-4) for a, b in zip(usual, other, strict=True))


def test_float32_and_float64_come_back_as_they_came():
    for dtype in (torch.float32, torch.float64):
        field, z0 = field_and_start(dtype=dtype)
        assert solve(field, z0, torch.rand(5, 2)).z.dtype == dtype


# PyTorch's own, when its forward mode is first used
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
def test_transforms_of_a_solve_are_those_of_autograd_or_refused_in_words():
    z0, times = torch.ones(3, dtype=torch.float64), torch.ones(1, 1, dtype=torch.float64)

    def end(z0, adjoint="autograd"):
        return solve(lambda t, z: -z, z0.unsqueeze(0), times, n_steps=20, adjoint=adjoint).z[0, 0]

    expected = math.exp(-1) * torch.eye(3, dtype=torch.float64)
    for jacobian in (torch.func.jacrev, torch.func.jacfwd):
        assert torch.allclose(jacobian(end)(z0), expected, rtol=1e-5)
    for adjoint in ("discrete", "checkpointed", "continuous", "backsolve"):
        with pytest.raises(NotImplementedError, match=r'torch\.func.*adjoint="autograd"'):
            torch.func.jacrev(partial(end, adjoint=adjoint))(z0)
    with pytest.raises(NotImplementedError, match=r"Under torch\.vmap: solve all states in one call"):
        torch.vmap(end)(torch.ones(5, 3, dtype=torch.float64))


@pytest.mark.parametrize("method", ["rk4", "tsit5"])
def test_times_that_are_not_finite_are_named(method):
    z0, inf = torch.ones(2, 1), float("inf")
    for times, t0, t1, message in (
        ([1.0, inf], 0.0, None, "starts at t = 0 and has a query at t = inf"),
        ([1.0, inf], 0.0, 2.0, "has a query at t = inf"),
        ([-inf], 0.0, None, "has a query at t = -inf"),
        ([1.0], NAN, None, "starts at t = nan"),
        ([1.0], -inf, 2.0, "starts at t = -inf"),
    ):
        with pytest.raises(
            ValueError, match=f"times must be finite.*series 0 {'.*' if message[0] == 'h' else ''}{message}"
        ):
            solve(lambda t, z: -z, z0, torch.tensor(times), t0, t1, method=method)
    with pytest.raises(SolveError, match=r"the span of time is not finite.* must be finite numbers"):
        solve(lambda t, z: -z, z0, torch.tensor([1.0]), 0.0, inf, method=method)


@pytest.mark.parametrize("name", ["t0", "t1", "t_back", "jump_times", "step_times"])
def test_times_that_are_complex_are_refused(name):
    with pytest.raises(TypeError, match="must be real, not complex"):
        solve(lambda t, z: -z, torch.ones(2, 1), torch.tensor([1.0]), **{name: torch.tensor([0.5j])})
