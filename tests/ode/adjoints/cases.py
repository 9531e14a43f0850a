"""Two-sided series in which every input requires a gradient, solved with controls and jumps."""

import torch

from latentode.nn.dynamics import MLPDynamics
from latentode.ode import CubicSpline, PiecewiseConstant, PiecewiseLinear, solve

KINDS = {"constant": PiecewiseConstant, "linear": PiecewiseLinear, "cubic": CubicSpline}


class Jumping(torch.nn.Module):
    """A field which jumps at 0.9 and at -1.1."""

    def __init__(self, field):
        super().__init__()
        self.field = field

    def forward(self, t, z, *given):
        z = z.tanh()
        return (
            self.field(t, z, *given) + torch.where(t >= 0.9, 1.0, 0.0) * z.cos() + torch.where(t >= -1.1, 0.5, -0.3) * z
        )


class Case:
    """Four two-sided series, everything about which wants a gradient, solved in one way or another."""

    def __init__(self):
        def drawn(*shape):
            return torch.randn(*shape, dtype=torch.float64)

        times = torch.rand(4, 5, dtype=torch.float64) * 3 - 1.5
        times[2, 3:] = float("nan")
        knots = torch.tensor([-1.8, -0.6, 0.3, 0.8, 1.9], dtype=torch.float64) + 0.1 * torch.rand(4, 5).double()
        self.inputs = {
            "z0": drawn(4, 3),
            "context": drawn(4, 2),
            "t0": torch.rand(4).double() - 0.5,
            "t1": torch.full((4,), 1.6).double(),
            "t_back": torch.full((4,), -1.7).double(),
            "times": times,
            "jumps": torch.tensor([0.9, -1.1], dtype=torch.float64),
            "knots": knots,
            "values": drawn(4, 5, 2),
        }
        for x in self.inputs.values():
            x.requires_grad_()
        self.received = drawn(4, 5, 3)

    def solve(self, field, inputs, *, kind=None, jumps=False, **options):
        x = inputs
        control = None if kind is None else KINDS[kind](x["knots"], x["values"])
        return solve(
            field, x["z0"], x["times"], x["t0"], x["t1"], t_back=x["t_back"], args=(x["context"],), control=control,
            jump_times=x["jumps"] if jumps else None, coarse=None, **options,
        )  # fmt: skip

    def field(self, *, kind=None, jumps=False):
        field = MLPDynamics(3, (6, 5), context_dim=2, control_dim=2 if kind else 0, time_dependent=True).double()
        return Jumping(field) if jumps else field

    def gradients(self, field, **options):
        z = self.solve(field, self.inputs, **options).z
        wanted = [*self.inputs.values(), *field.parameters()]
        each = torch.autograd.grad((torch.nan_to_num(z) * self.received).sum(), wanted, allow_unused=True)
        return z, [torch.zeros_like(x) if g is None else g for g, x in zip(each, wanted, strict=True)]
