"""The prior of the parameters of a Gaussian process: few data leave them at their initial values."""

from dataclasses import dataclass

import torch
from torch import Tensor

from latentode.nn import GaussianProcess

__all__ = [
    "ProcessPrior",
    "parameters_of",
    "place_of_period",
    "prior_around",
    "set_parameters",
    "steps_of",
]

VARIANCE_PRECISION, LENGTH_PRECISION, SINUSOID_PRECISION = 0.2, 0.5, 1.2
"""Of the logarithm of a variance, of a time scale, and of the variance of sinusoids with a period of their own: two or
three points fit sinusoids of any size."""

PERIOD_RATE = 0.2
"""How far a period that is as long as a series is moved at a time, over what other parameters are."""


@dataclass(frozen=True)
class ProcessPrior:
    """Independent Gaussians of the logarithms of variances and time scales.

    Parameters
    ----------
    centre : Tensor
        (parameter, channel), in the order of the parameters of a process.
    deviation : Tensor
        (parameter, 1), standard deviations.
    """

    centre: Tensor
    deviation: Tensor

    def penalty(self, process: GaussianProcess) -> Tensor:
        """Minus the logarithm of the density at the parameters of a process, up to a constant, ()."""
        return 0.5 * self.deviations(parameters_of(process)).square().sum()

    def deviations(self, parameters: Tensor) -> Tensor:
        """How many standard deviations parameters, (parameter, channel, ...), lie from the centre."""
        centre, deviation = (x.reshape(*x.shape, *[1] * (parameters.ndim - 2)) for x in (self.centre, self.deviation))
        return (parameters - centre) / deviation


def parameters_of(process: GaussianProcess) -> Tensor:
    """(parameter, channel), logarithms of variances and time scales."""
    return torch.stack(list(_named(process).values()))


def set_parameters(process: GaussianProcess, values: Tensor) -> None:
    """Give a process other parameters, (parameter, channel)."""
    with torch.no_grad():
        for parameter, value in zip(_named(process).values(), values, strict=True):
            parameter.copy_(value)


def place_of_period(process: GaussianProcess) -> int:
    """Which parameter the period of the rotation is."""
    return list(_named(process)).index("log_lengths.period")


def steps_of(process: GaussianProcess) -> Tensor:
    """How far each parameter may be moved at a time, (parameter, channel), over what most of them may.

    The more turns a series makes, the more precisely its period is known, and the smaller are its steps.
    """
    steps = torch.ones_like(parameters_of(process).detach())
    steps[place_of_period(process)] = PERIOD_RATE * process.log_lengths["period"].detach().exp() / process.duration
    return steps


def prior_around(process: GaussianProcess) -> ProcessPrior:
    """The prior around the parameters that a process has now."""
    precision = torch.tensor([[_precision(name)] for name in _named(process)])
    return ProcessPrior(parameters_of(process).detach().clone(), precision.rsqrt())


def _named(process: GaussianProcess) -> dict[str, Tensor]:
    """Logarithms of variances and time scales, (channel,) each; the rates of impulses have no prior."""
    parts = {"log_variances": process.log_variances, "log_lengths": process.log_lengths}
    return {f"{part}.{name}": value for part, values in parts.items() for name, value in values.items()}


def _precision(name: str) -> float:
    if name == "log_variances.sinusoid":
        return SINUSOID_PRECISION
    return VARIANCE_PRECISION if name.startswith("log_variances") else LENGTH_PRECISION
