"""Write down what torchdiffeq answers, for tests/ode/torchdiffeq/test_reference.py, in an environment that has it.

usage: python tests/benchmarks/ode/record_torchdiffeq.py
"""

import importlib
import importlib.metadata
import json
from pathlib import Path

import torch
from torch import nn

REFERENCE = Path(__file__).parents[2] / "ode" / "torchdiffeq" / "reference.json"
DIGITS = 10

FIXED = ("euler", "midpoint", "heun2", "heun3", "rk4")
# The lower the order, the looser the tolerance: else they would step for minutes.
TOLERANCES = {
    "adaptive_heun": (1e-5, 1e-7),
    "fehlberg2": (1e-5, 1e-7),
    "bosh3": (1e-6, 1e-8),
    "dopri5": (1e-8, 1e-10),
    "dopri8": (1e-8, 1e-10),
}
METHODS = (*FIXED, *TOLERANCES)
BOUNCES = 3


def weights(*shape, shift=0.0):
    """Pseudo-random numbers that are the same everywhere."""
    n = torch.arange(1, torch.Size(shape).numel() + 1, dtype=torch.float64)
    return nn.Parameter(0.6 * torch.sin(2.7 * n + shift).view(shape))


class Constant(nn.Module):
    """The line a t + b draws near solutions away: a state of no dimension."""

    def __init__(self):
        super().__init__()
        self.a = nn.Parameter(torch.tensor(0.2, dtype=torch.float64))
        self.b = nn.Parameter(torch.tensor(3.0, dtype=torch.float64))

    def forward(self, t, y):
        return self.a + (y - (self.a * t + self.b)) ** 5


class Linear(nn.Module):
    """A turning spiral."""

    def __init__(self):
        super().__init__()
        self.matrix = nn.Parameter(torch.tensor([[-0.1, 1.3], [-1.1, -0.2]], dtype=torch.float64))

    def forward(self, t, y):
        return self.matrix @ y


class Sine(nn.Module):
    """Growing swings, driven by time."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([2.0, 1.0, -1.0, 4.0], dtype=torch.float64))

    def forward(self, t, y):
        w = self.weight
        return w[0] * y / t + w[1] * t**4 * torch.sin(2 * t) + w[2] * t**2 + w[3] * t**3


class Exp(nn.Module):
    """Growth and decay, in a tuple."""

    def __init__(self):
        super().__init__()
        self.rate = nn.Parameter(torch.tensor(0.7, dtype=torch.float64))

    def forward(self, t, y):
        return self.rate * y[0], -self.rate * y[1]


class MLP(nn.Module):
    """A small network that reads the time."""

    def __init__(self):
        super().__init__()
        self.w1, self.b1, self.w2 = weights(3, 4), weights(4, shift=1.0), weights(4, 2, shift=2.0)

    def forward(self, t, y):
        given = torch.cat([y, t.expand(len(y), 1)], 1)
        return torch.tanh(given @ self.w1 + self.b1) @ self.w2


def double(*values):
    return torch.tensor(values, dtype=torch.float64)


PROBLEMS = {
    "constant": (Constant, (double(3.7).view(()),), double(3.2).view(())),
    "linear": (Linear, (double(1.0, -0.5).view(2, 1),), None),
    "sine": (Sine, (double(0.8),), None),
    "exp": (Exp, (double(1.3).view(()), double(0.4, -2.0)), None),
    "mlp": (MLP, (double(1.0, -0.5, 0.2, 0.7).view(2, 2),), None),
}
TIMES = {"forward": (1.0, 1.2, 1.9, 2.4), "backward": (2.4, 1.9, 1.2, 1.0)}


def cases():
    """All cases: how the face is called, by name."""
    for problem in PROBLEMS:
        for direction in TIMES:
            for method in METHODS:
                yield f"{problem} {direction} {method}", problem, direction, {"method": method}
    for direction in TIMES:
        for method in FIXED:  # so that no time is a node
            options = {"step_size": 0.15, "interp": "cubic"}
            yield f"mlp {direction} {method} by steps", "mlp", direction, {"method": method, "options": options}


def run(face, problem, direction, **options):
    """Values, and the gradients of one fixed loss by initial state, times and parameters, each a list of tensors."""
    make, parts, _ = PROBLEMS[problem]
    func = make()
    parts = [part.clone().requires_grad_() for part in parts]
    t = torch.tensor(TIMES[direction], dtype=torch.float64, requires_grad=True)
    rtol, atol = TOLERANCES.get(options["method"], (1e-7, 1e-9))
    y = face(func, tuple(parts) if len(parts) > 1 else parts[0], t, rtol=rtol, atol=atol, **options)
    y = y if isinstance(y, tuple) else (y,)
    loss = sum((torch.cos(torch.arange(1.0, part.numel() + 1.0)).to(part).view(part.shape) * part).sum() for part in y)
    wanted = [*parts, t, *func.parameters()]
    return [part.detach() for part in y], list(torch.autograd.grad(loss, wanted))


class Ball(nn.Module):
    """A ball that falls, bounces, and falls again."""

    def __init__(self, odeint_event):
        super().__init__()
        self.odeint_event = odeint_event
        self.gravity = nn.Parameter(double(9.8))
        self.t0 = nn.Parameter(double(0.3))
        self.height, self.speed = nn.Parameter(double(10.0)), nn.Parameter(double(1.0))

    def forward(self, t, state):
        _, speed = state
        return speed, -self.gravity * torch.ones_like(speed)

    @staticmethod
    def event(t, state):
        return state[0]

    def bounce(self, **options):
        """Times of all bounces, and the speeds there."""
        t, state, times, speeds = self.t0, (self.height, self.speed), [], []
        for _ in range(BOUNCES):
            t, (height, speed) = self.odeint_event(
                self, state, t, event_fn=self.event, rtol=1e-9, atol=1e-11, **options
            )
            times.append(t)
            speeds.append(speed[-1])
            state = (height[-1] + 1e-7, -0.8 * speed[-1])
        return torch.stack(times), torch.stack(speeds)

    def before(self, **options):
        """When it must have been thrown from a height of 1 or with a speed of 20, and its height and speed there."""
        state = (self.height, self.speed)

        def event(t, state):
            return torch.stack([state[0] - 1.0, state[1] - 20.0])

        t, (height, speed) = self.odeint_event(
            self, state, self.t0, event_fn=event, reverse_time=True, rtol=1e-9, atol=1e-11, **options
        )
        return t.view(1), torch.cat([height[-1], speed[-1]])


def run_event(odeint_event, which, **options):
    """The answers of a ball, and the gradients of one fixed loss."""
    ball = Ball(odeint_event)
    times, states = getattr(ball, which)(**options)
    loss = (times * torch.arange(1.0, len(times) + 1).to(times)).sum() + 0.1 * states.sum()
    return [times.detach(), states.detach()], list(torch.autograd.grad(loss, list(ball.parameters())))


def listed(tensors):
    return [[list(x.shape), [float(f"{v:.{DIGITS}g}") for v in x.flatten().tolist()]] for x in tensors]


def main():
    torchdiffeq = importlib.import_module("torchdiffeq")
    faces = {"odeint": torchdiffeq.odeint, "odeint_adjoint": torchdiffeq.odeint_adjoint}
    answers = {}
    for name, problem, direction, options in cases():
        each = {face: run(function, problem, direction, **options) for face, function in faces.items()}
        answers[name] = {"values": listed(each["odeint"][0])}
        answers[name] |= {face: listed(gradients) for face, (_, gradients) in each.items()}
    for which in ("bounce", "before"):
        each = {
            face: run_event(torchdiffeq.odeint_event, which, odeint_interface=function)
            for face, function in faces.items()
        }
        answers[f"ball {which}"] = {"values": listed(each["odeint"][0])}
        answers[f"ball {which}"] |= {face: listed(gradients) for face, (_, gradients) in each.items()}
    versions = {name: importlib.metadata.version(name) for name in ("torch", "torchdiffeq")}
    lines = ",\n".join(f"{json.dumps(name)}:{json.dumps(x, separators=(',', ':'))}" for name, x in answers.items())
    REFERENCE.write_text(f'{{"versions":{json.dumps(versions)},\n"answers":{{\n{lines}\n}}}}\n')


if __name__ == "__main__":
    main()
