import pytest
import torch

from latentode.nn.dynamics import MLPDynamics
from latentode.ode import SolveError, solve
from tests.ode.adjoints.test_discrete import assert_same
from tests.ode.conftest import Hidden
from tests.ode.operators import counted

LOOSE = {"t1", "t_back"}  # the equation's solution does not depend on where its grid ends


def without(result, names):
    return result[0], {name: g for name, g in result[1].items() if name not in names}


@pytest.mark.parametrize("hidden", [False, True], ids=["analytic", "general"])
def test_the_augmented_solve_gives_every_gradient_of_the_paper(case, gradients, hidden):
    field = Hidden(case[0]) if hidden else case[0]
    tight = {"method": "dopri5", "rtol": 1e-10, "atol": 1e-12, "min_step": 1e-12}
    exact = gradients(adjoint="autograd", **tight)
    ours = gradients(field, adjoint="backsolve", **tight)
    assert_same(without(ours, LOOSE), without(exact, LOOSE), 1e-7)
    assert all(ours[1][name].abs().max() < 1e-9 for name in LOOSE)


def test_it_approaches_the_exact_gradient_as_the_tolerance_shrinks(gradients):
    exact = gradients(adjoint="autograd", method="dopri5", rtol=1e-11, atol=1e-12, min_step=1e-12)[1]["layers.0.weight"]
    errors = []
    for rtol in (1e-2, 1e-4, 1e-6, 1e-8):
        ours = gradients(adjoint="backsolve", method="dopri5", rtol=rtol, atol=rtol / 10)[1]["layers.0.weight"]
        errors.append(float((ours - exact).abs().max() / exact.abs().max()))
    assert errors[3] < 1e-6
    assert errors[3] < errors[2] < errors[0]


def test_on_a_fixed_grid_it_converges_too(gradients):
    exact = gradients(adjoint="autograd", method="rk4", n_steps=200)[1]["layers.0.weight"]
    errors = [
        float((gradients(adjoint="backsolve", method="rk4", n_steps=n)[1]["layers.0.weight"] - exact).abs().max())
        for n in (4, 32)
    ]
    assert errors[1] < errors[0] / 50


def saved_bytes(adjoint, n_steps):
    field = MLPDynamics(4, (16,))
    z0 = torch.randn(8, 4, requires_grad=True)
    storages = {}

    def pack(x):
        storages[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        z = solve(Hidden(field), z0, torch.rand(8, 5), t1=1.0, t_back=0.0, n_steps=n_steps, adjoint=adjoint).z
    held = z.grad_fn  # keeps the graph alive while the storages are counted
    total = sum(storages.values())
    del held
    return total


def test_memory_kept_for_the_gradient_does_not_grow_with_the_steps():
    flat = [saved_bytes("backsolve", n) for n in (10, 100)]
    growing = [saved_bytes("autograd", n) for n in (10, 100)]
    assert flat[0] == flat[1]
    assert growing[1] > 6 * growing[0]
    assert flat[1] < growing[1] / 30


def test_nothing_of_the_steps_stays_alive_behind_the_answer():
    """The tape and the stage buffer are not saved tensors, so every live tensor is examined."""
    import gc

    def live(n_steps):
        field = Hidden(MLPDynamics(4, (16,)))
        z0 = torch.randn(8, 4, requires_grad=True)
        solution = solve(field, z0, torch.rand(8, 5), t1=1.0, t_back=0.0, n_steps=n_steps, adjoint="backsolve")
        z = solution.z
        del solution
        gc.collect()
        tensors = [x for x in gc.get_objects() if issubclass(type(x), torch.Tensor)]
        tensors = [x for x in tensors if x.layout is torch.strided]  # sparse ones of other tests own no one storage
        total = sum({x.untyped_storage().data_ptr(): x.untyped_storage().nbytes() for x in tensors}.values())
        del z
        return total

    live(10)
    gc.freeze()  # only what is made from here on is examined
    try:
        assert live(200) <= live(10) + 2048
    finally:
        gc.unfreeze()


def test_the_other_gradient_of_a_batch_alone_equals_the_one_in_company(case):
    field, inputs = case
    received = torch.randn(4, 6, 3, dtype=torch.float64)

    def gradient(which):
        z0 = inputs["z0"].detach()[which].requires_grad_()
        z = solve(
            field, z0, inputs["times"].detach()[which], 0.0, 1.6, t_back=-1.7,
            args=(inputs["context"].detach()[which],), method="rk4", n_steps=40, adjoint="backsolve", coarse=None,
        ).z  # fmt: skip
        return torch.autograd.grad((torch.nan_to_num(z) * received[which]).sum(), z0)[0]

    together = gradient(slice(0, 4))
    alone = torch.cat([gradient(slice(i, i + 1)) for i in range(4)])
    assert torch.allclose(together, alone, rtol=1e-5)


@pytest.mark.parametrize("jumps", [None, [0.25]])
def test_a_backward_solve_that_fails_names_the_series_and_the_time(jumps):
    going_back = False

    def field(t, z):
        gap = (t < 0.5) & (torch.arange(3).unsqueeze(1) == 1)
        return torch.where(gap & going_back, float("nan"), -z)

    z0 = torch.ones(3, 1, dtype=torch.float64, requires_grad=True)
    times = torch.tensor([[1.0, 0.75], [0.8, 1.0], [2.0, 0.7]], dtype=torch.float64)
    z = solve(field, z0, times, t0=0.0, method="dopri5", adjoint="backsolve", jump_times=jumps).z
    going_back = True
    with pytest.raises(
        SolveError, match=r"^the field is not finite \(in the backward solve\): series 1 at t = 0\.5"
    ) as caught:
        z.sum().backward()
    assert caught.value.series == (1,)
    assert caught.value.cause == "the field is not finite (in the backward solve)"
    assert caught.value.times[0] == caught.value.reached[0] == pytest.approx(0.5, abs=1e-6)
    assert "Check its inputs" in str(caught.value)


def test_the_steps_of_a_grid_are_shared_out_among_the_stretches_between_queries():
    counted = []

    def field(t, z):
        counted.append(1)
        return -z

    z0 = torch.ones(1, 1, requires_grad=True)
    cases = [
        ([1.0, 2.0], None, 4 * (4 + 4)),
        ([1.0, 2.0], [0.5], 4 * (3 + 2 + 4) + 2),  # and the slopes on both sides of the border
        ([1.01, 1.0, 2.0], None, 4 * (4 + 1 + 4)),
    ]
    for times, stops, expected in cases:
        times = torch.tensor([times])
        z = solve(field, z0, times, 0.0, 2.0, t_back=0.0, n_steps=8, step_times=stops, adjoint="backsolve").z
        counted.clear()
        z.sum().backward()
        assert len(counted) == expected


def test_the_reverse_solve_takes_few_operators_for_each_evaluation():
    """Two dozen are those of the field and its product; 123 were taken when a_theta was a part of the state."""
    field, z0, times = MLPDynamics(4, (16, 16)), torch.ones(3, 4, requires_grad=True), torch.rand(3, 50)
    z = solve(field, z0, times, 0.0, 1.0, t_back=0.0, n_steps=4, adjoint="backsolve").z
    assert len(counted(lambda: z.sum().backward())) < 27 * 4 * 50


@pytest.mark.parametrize("leaf", ["args", "parameter"])
@pytest.mark.parametrize("adjoint", ["discrete", "checkpointed", "continuous", "backsolve"])
def test_complex_parameters_of_a_real_state_have_the_gradient_of_autograd(adjoint, leaf):
    class Turning(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.w = torch.nn.Parameter(torch.tensor([0.3 + 0.5j, -0.2 + 1j], dtype=torch.complex128))
            self.rate = torch.nn.Parameter(torch.tensor(0.1, dtype=torch.float64))

        def forward(self, t, z, *args):
            w = args[0].conj() if args else self.w
            return self.rate * z + torch.view_as_real(torch.view_as_complex(z.view(-1, 2, 2)) * w).flatten(1)

    field, times = Turning(), torch.tensor([[0.5, 1.0]], dtype=torch.float64)
    args = (torch.tensor([0.1 - 0.5j, 0.4j], dtype=torch.complex128, requires_grad=True),) * (leaf == "args")
    wanted, z0 = (args or (field.w,)), torch.tensor([[1.0, 0.0, 0.5, 2.0]], dtype=torch.float64)
    ours, exact = (
        torch.autograd.grad(solve(field, z0, times, args=args, n_steps=40, adjoint=kind).z[..., :3].sum(), wanted)[0]
        for kind in (adjoint, "autograd")
    )
    assert exact.imag.abs().min() > 0.1
    assert torch.allclose(ours, exact, rtol=1e-5)


@pytest.mark.parametrize("adjoint", ["backsolve", "continuous"])
def test_rows_that_read_each_other_over_different_spans_have_the_gradient_of_autograd(adjoint):
    def field(t, z):
        return -z + 0.5 * z.mean(0, keepdim=True) ** 2

    z0 = torch.tensor([[1.0], [2.0]], dtype=torch.float64, requires_grad=True)
    times = torch.tensor([[1.0], [2.0]], dtype=torch.float64)
    ours, exact = (
        torch.autograd.grad(solve(field, z0, times, n_steps=100, adjoint=kind).z.sum(), z0)[0]
        for kind in (adjoint, "autograd")
    )
    assert torch.allclose(ours, exact, rtol=1e-5)


def test_the_limit_of_steps_is_that_of_one_stretch_between_queries():
    stiff = 1.0

    def field(t, z):
        return -z * torch.where(t < 0.1, stiff, 1.0)

    z0 = torch.ones(1, 1, dtype=torch.float64, requires_grad=True)
    times = torch.linspace(0.05, 1, 40, dtype=torch.float64)[None]
    given = {"method": "dopri5", "adjoint": "backsolve", "rtol": 1e-5, "max_steps": 40}
    z = solve(field, z0, times, 0.0, **given).z
    z.sum().backward(retain_graph=True)  # more steps than that in all
    stiff = 20_000.0
    with pytest.raises(SolveError, match="the limit of 40 steps"):
        z.sum().backward()


@pytest.mark.parametrize("adjoint", ["backsolve", "discrete"])
def test_parameters_in_little_precision_get_the_sum_of_many_small_parts(adjoint):
    rate = torch.full((2,), 0.1, dtype=torch.bfloat16, requires_grad=True)
    z0, times = torch.ones(2, 2, dtype=torch.float64), torch.ones(2, 1, dtype=torch.float64)
    given = {"args": (rate,), "method": "euler", "n_steps": 2000, "coarse": None, "adjoint": adjoint}
    z = solve(lambda t, z, rate: -z * rate.to(z.dtype), z0, times, **given).z
    (found,) = torch.autograd.grad(z.sum(), rate)
    assert found.dtype == torch.bfloat16
    expected = -2 * torch.exp(-rate.detach().double())
    assert torch.allclose(found.double(), expected, rtol=1e-2)
