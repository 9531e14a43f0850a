import pytest
import torch

from latentode.nn import ACCELERATORS, DeviceCopy, Ensemble, LatentODE, LatentODEConfig, device_of, on_device
from tests.nn.batches import lively, random_batch

CPU = torch.device("cpu")


@pytest.fixture
def gpus(monkeypatch):
    """Say which kinds of GPU this machine has."""

    def there(*kinds):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: "cuda" in kinds)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: "mps" in kinds)

    return there


@pytest.mark.parametrize(
    ("kinds", "found"),
    [
        ((), {"cpu": "cpu", "gpu": None, "mps": None, "auto": "cpu"}),
        (("cuda",), {"cpu": "cpu", "gpu": "cuda", "mps": None, "auto": "cuda"}),
        (("mps",), {"cpu": "cpu", "gpu": "mps", "mps": "mps", "auto": "cpu"}),
    ],
)
def test_every_accelerator_names_a_device_or_none(gpus, kinds, found):
    gpus(*kinds)
    devices = {name: device_of(name) for name in ACCELERATORS}
    assert {name: device and device.type for name, device in devices.items()} == found


def ensemble():
    return Ensemble([lively(), lively(seed=1)])


@pytest.mark.parametrize("network", [lively, ensemble])
def test_a_copy_on_another_device_answers_as_the_network_does(network):
    network, batch = network(), random_batch()
    there = DeviceCopy(network, CPU)
    noise = torch.randn(3, len(batch.lengths), network.config.latent_dim)
    with torch.no_grad():
        for mine, others in (
            (network.predict(batch), there.predict(batch)),
            (network.sample(batch, noise), there.sample(batch, noise)),
        ):
            assert torch.equal(mine.mean, others.mean)
            assert torch.equal(mine.scale, others.scale)
    assert there.config == network.config
    assert there.likelihood is network.likelihood


def test_a_network_is_copied_only_to_another_device():
    network = LatentODE(LatentODEConfig(n_channels=1, usual_gap=0.1))
    assert on_device(network, CPU) is network
    assert isinstance(on_device(network, torch.device("meta")), DeviceCopy)
    assert {p.device.type for p in network.parameters()} == {"cpu"}
