"""A field that turns the plane ever faster, and its solution."""

import torch

from latentode.ode import odeint


def turning(t, y):
    return (1 + 0.5 * t) * torch.stack([y[1], -y[0]])


def start():
    return torch.tensor([1.0, 0.0], dtype=torch.float64)


def times(n, end=2.0):
    return torch.linspace(0.0, end, n + 1, dtype=torch.float64)


def turned(t):
    angle = t + 0.25 * t**2
    return torch.stack([torch.cos(angle), -torch.sin(angle)], -1)


def evaluations(**given):
    count = 0

    def counted(t, y):
        nonlocal count
        count += 1
        return turning(t, y)

    odeint(counted, start(), times(1), rtol=1e-5, atol=1e-7, **given)
    return count
