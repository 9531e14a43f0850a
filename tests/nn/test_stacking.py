import torch

from latentode.nn import Batch, LatentODE, LatentODEConfig, Prediction, Stacked, Stacking, StackingConfig
from latentode.nn.stacking import ONE_THIRD, combined


def stacked(weight: float, **sizes) -> Stacked:
    torch.manual_seed(0)
    network = LatentODE(LatentODEConfig(n_channels=2, usual_gap=0.1, **sizes))
    stacking = Stacking(StackingConfig(n_channels=2, n_given=0, usual_gap=0.1, duration=1.0))
    with torch.no_grad():
        stacking.weights.intercept.fill_(float(torch.logit(torch.tensor(weight))) - ONE_THIRD)
    return Stacked(network, stacking).eval()


def batch() -> Batch:
    return Batch(
        times=torch.tensor([[-0.5, 0.0]]),
        values=torch.tensor([[[1.0, 0.0], [0.5, -1.0]]]),
        mask=torch.tensor([[[1.0, 0.0], [1.0, 1.0]]]),
        lengths=torch.tensor([2]),
        query_times=torch.tensor([[0.0, 0.2, 0.9]]),
    )


def close(a: Prediction, b: Prediction) -> None:
    torch.testing.assert_close(a.mean, b.mean, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(a.scale, b.scale, atol=1e-5, rtol=1e-5)


def test_weights_of_zero_and_one_are_the_network_and_the_process():
    none, all_ = stacked(0.0), stacked(1.0)
    close(none.predict(batch()), none.network.predict(batch()))
    close(all_.predict(batch()), all_.stacking.process(batch()))


def test_means_and_scales_are_weighted():
    model = stacked(0.25)
    network, process = model.network.predict(batch()), model.stacking.process(batch())
    close(model.predict(batch()), combined(network, process, torch.tensor(0.25)))
    close(
        model.predict(batch()),
        Prediction(0.75 * network.mean + 0.25 * process.mean, 0.75 * network.scale + 0.25 * process.scale),
    )


def test_draws_are_moved_and_stretched_to_the_combined_prediction():
    model = stacked(1.0)
    drawn = model.sample(batch(), torch.randn(4_000, 1, 16, generator=torch.Generator().manual_seed(0)))
    process = model.stacking.process(batch())
    network = model.network.predict(batch())
    spread = (drawn.scale.square().mean(0) + (drawn.mean - process.mean).square().mean(0)).sqrt()
    torch.testing.assert_close(spread, process.scale, rtol=1e-3, atol=1e-4)
    # The course of a draw around the mean is the network's.
    one = model.network.sample(batch(), torch.ones(1, 1, 16)).mean[0] - network.mean
    moved = model.sample(batch(), torch.ones(1, 1, 16)).mean[0] - process.mean
    assert torch.equal(one.sign(), moved.sign())


def test_channels_of_counts_are_the_networks_alone():
    model = stacked(0.9, likelihood=("gaussian", "poisson"), center=(0.0, 3.0), unit=(1.0, 2.0))
    network, process = model.network.predict(batch()), model.stacking.process(batch())
    found = model.predict(batch())
    torch.testing.assert_close(found.mean[..., 1], network.mean[..., 1])
    torch.testing.assert_close(found.mean[..., 0], combined(network, process, torch.tensor(0.9)).mean[..., 0])


def test_the_weight_follows_lead_time_history_and_channel():
    model = stacked(0.5)
    weights = model.stacking.weights
    torch.testing.assert_close(weights(batch()), torch.full((1, 3, 2), 0.5))
    with torch.no_grad():
        weights.slopes.copy_(torch.tensor([1.0, 2.0, 0.5]))
        weights.of_channel[1] = -3.0
    found = weights(batch())[0]
    assert found[2, 0] > found[1, 0]
    assert (found[:, 1] < found[:, 0]).all()
    assert float(weights.penalty().detach()) > 0
