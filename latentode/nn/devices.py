"""Where a network computes: on the CPU, or on an accelerator with its answers brought back."""

import copy

import torch
from torch import Tensor

from latentode.nn.batch import Batch, Prediction
from latentode.nn.ensemble import Model

__all__ = ["ACCELERATORS", "DeviceCopy", "device_of", "on_device"]

ACCELERATORS = ("cpu", "gpu", "mps", "auto")
"""As in Lightning: the CPU; a GPU; a GPU of Apple's; or a CUDA GPU where there is one, else the CPU."""


def device_of(accelerator: str) -> torch.device | None:
    """The device of an accelerator on this machine, None where there is none that PyTorch can use.

    Examples
    --------
    >>> device_of("cpu")
    device(type='cpu')
    """
    if accelerator == "cpu":
        return torch.device("cpu")
    if accelerator in ("gpu", "auto") and torch.cuda.is_available():
        return torch.device("cuda")
    if accelerator in ("gpu", "mps") and torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu") if accelerator == "auto" else None


class DeviceCopy:
    """A copy of a network on another device. It takes batches from the CPU and returns predictions to it.

    Parameters
    ----------
    network : LatentODE or Ensemble
        The network, on the CPU; it is left there.
    device : device
        Where the copy computes.
    """

    def __init__(self, network: Model, device: torch.device) -> None:
        self.device = device
        self.config, self.likelihood = network.config, network.likelihood  # on the CPU
        self._there = copy.deepcopy(network).to(device)

    def predict(self, batch: Batch) -> Prediction:
        """Mean and scale, (series, query, channel)."""
        return _home(self._there.predict(batch.to(self.device)))

    def sample(self, batch: Batch, noise: Tensor) -> Prediction:
        """Predict along trajectories from several draws of z0, (sample, series, query, channel).

        Parameters
        ----------
        batch : Batch
            Histories and queries.
        noise : Tensor
            (sample, series, latent), standard normal.
        """
        return _home(self._there.sample(batch.to(self.device), noise.to(self.device)))


def on_device(network: Model, device: torch.device) -> Model | DeviceCopy:
    """The network itself for the CPU, a copy of it for another device."""
    return network if device.type == "cpu" else DeviceCopy(network, device)


def _home(prediction: Prediction) -> Prediction:
    return Prediction(prediction.mean.cpu(), prediction.scale.cpu())
