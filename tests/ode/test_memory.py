"""How much a solve and its gradient hold at a time, counted in bytes of live storages."""

import gc

import pytest
import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from latentode.nn.dynamics import MLPDynamics
from latentode.ode import solve

from .conftest import Hidden


class Held(TorchDispatchMode):
    """Follows every storage that is made, and looks every few operators which of them are still there."""

    EVERY = 50

    def __init__(self):
        super().__init__()
        self.peak, self.sizes, self.operators = 0, {}, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, torch.Tensor):
                storage = leaf.untyped_storage()
                self.sizes[StorageWeakRef(storage)] = storage.nbytes()
        self.operators += 1
        if self.operators % self.EVERY == 0:
            self.peak = max(self.peak, self.live())
        return out

    def live(self):
        self.sizes = {ref: size for ref, size in self.sizes.items() if not ref.expired()}
        return sum(self.sizes.values())


def peak_of(adjoint, n_steps, field):
    z0, times = torch.randn(16, 4, requires_grad=True), torch.rand(16, 3)
    with Held() as held:
        z = solve(field, z0, times, t1=1.0, t_back=0.0, n_steps=n_steps, adjoint=adjoint, watch=False).z
        torch.autograd.grad(z.sum(), [z0, *field.parameters()])
    return held.peak


@pytest.fixture(params=[False, True], ids=["analytic", "general"])
def field(request):
    torch.manual_seed(0)
    field = MLPDynamics(4, (16,))
    return Hidden(field) if request.param else field


# A quarter more, or a factor where a root is meant to be seen: constants are kept for the solves to come, and the peak is sampled.


def test_backsolve_holds_as_much_for_many_steps_as_for_few(field):
    few, many = (peak_of("backsolve", n, field) for n in (50, 500))
    assert many < 1.25 * few
    assert peak_of("discrete", 500, field) > 5 * many


@pytest.mark.slow
def test_backsolve_holds_as_much_for_ten_thousand_steps_as_for_a_hundred(field):
    few, many = (peak_of("backsolve", n, field) for n in (100, 10_000))
    assert many < 1.25 * few


def test_with_checkpoints_what_is_held_grows_with_the_square_root_of_the_steps(field):
    few, many = (peak_of("checkpointed", n, field) for n in (40, 640))
    assert many < 4.4 * few  # four times, and a tenth
    assert peak_of("discrete", 640, field) > 12 * peak_of("discrete", 40, field)


@pytest.mark.parametrize("adjoint", ["discrete", "checkpointed", "continuous", "backsolve", "autograd"])
def test_nothing_waits_for_the_garbage_collector(field, adjoint):
    gc.collect()
    gc.disable()
    try:
        with Held() as held:
            z0 = torch.randn(16, 4, requires_grad=True)
            z = solve(field, z0, torch.rand(16, 3), n_steps=30, adjoint=adjoint, coarse=None).z
            grads = torch.autograd.grad(z.sum(), [z0, *field.parameters()])
            del z, grads, z0
        assert held.live() < 20_000  # constants that are kept, not the 50 steps
    finally:
        gc.enable()
