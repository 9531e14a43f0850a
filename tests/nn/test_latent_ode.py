from dataclasses import fields, replace

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from latentode.nn import DYNAMICS, ENCODERS, LIKELIHOODS, MODEL_DECODERS, Batch, LatentODE, LatentODEConfig, MLPDynamics
from latentode.nn.latent_ode import _kl_from_standard_normal
from tests.nn.batches import batch_of, lively, random_batch


def take(batch, rows):
    """Some of the series of a batch."""
    values = {f.name: getattr(batch, f.name) for f in fields(batch)}
    return replace(batch, **{k: v[rows] for k, v in values.items() if isinstance(v, Tensor)})


def close(left, right, atol=1e-5):
    torch.testing.assert_close(left, right, atol=atol, rtol=1e-4)


# -------------------------------------------------------------------------------------------- every choice

CHOICES = [
    *({"encoder": name} for name in ENCODERS),
    *({"dynamics": name} for name in DYNAMICS),
    *({"decoder": name} for name in MODEL_DECODERS),
    *({"likelihood": name} for name in LIKELIHOODS),
    {"anchor": "start", "encoder": "odernn", "decoder": "linear", "summary": False, "context_dim": 0},
    {"activation": "tanh"},
    {"dynamics": "linear", "anchor": "start"},
    {"given_dim": 4},
    {"given_dim": 4, "static_dim": 3},
    {"control_dim": 2, "given_dim": 2},
    {"control_dim": 2, "given_dim": 2, "filters": True},
    {"control_dim": 2, "given_dim": 2, "filters": True, "anchor": "start"},
    {"control_dim": 2, "given_dim": 2, "filters": True, "regression": True},
    {"control_dim": 2, "given_dim": 5, "regression": True},
    {"control_dim": 2, "given_dim": 2, "dynamics": "mixed", "anchor": "start"},
    {"control_dim": 2, "given_dim": 2, "dynamics": "linear"},
    {"given_dim": 4, "decoder": "mlp", "encoder": "odernn"},
    {"impulse_dim": 2},
    {"impulse_dim": 1, "regression": True, "given_dim": 3},
    {"impulse_dim": 6, "control_dim": 2, "given_dim": 2, "filters": True, "regression": True},
    {"impulse_dim": 1, "anchor": "start", "encoder": "odernn", "decoder": "linear", "summary": False, "context_dim": 0},
]

every_choice = pytest.mark.parametrize("options", CHOICES, ids=lambda o: "-".join(f"{k}={v}" for k, v in o.items()))


def batch_for(options):
    batch = random_batch()
    rng = torch.Generator().manual_seed(1)

    def features(option, *shape):
        n = options.get(option, 0)
        return torch.randn(*shape, n, generator=rng) if n else None

    knots = features("control_dim", len(batch.times), 6)
    impulses = features("impulse_dim", len(batch.times), 5)
    given = features("given_dim", *batch.times.shape)
    return replace(
        batch,
        given=given,
        query_given=features("given_dim", *batch.query_times.shape),
        static=features("static_dim", len(batch.times)),
        knots=knots,
        knot_times=None if knots is None else torch.linspace(-1, 1, 6).expand(len(batch.times), -1),
        impulses=impulses,
        impulse_times=None if impulses is None else torch.linspace(-2, 0.9, 5).expand(len(batch.times), -1),
    )


@every_choice
def test_every_choice_learns_and_answers(options):
    model, batch = lively(**options), batch_for(options)
    before = float(model.loss(batch, 0.0, torch.Generator().manual_seed(0)).total.detach())
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    for step in range(5):
        optimiser.zero_grad()
        model.loss(batch, 0.0, torch.Generator().manual_seed(step)).total.backward()
        optimiser.step()
    assert float(model.loss(batch, 0.0, torch.Generator().manual_seed(0)).total.detach()) < before
    with torch.no_grad():
        answer = model.predict(batch)
        drawn = model.sample(batch, torch.randn(2, 4, 4))
    assert answer.mean.shape == answer.scale.shape == (4, 5, 2)
    assert drawn.mean.shape == drawn.scale.shape == (2, 4, 5, 2)
    assert answer.mean.isfinite().all()
    assert (answer.scale > 0).all()


ANCHORED_AT_THE_END = [options for options in CHOICES if options.get("anchor") != "start"]


# A trajectory from the start reads, once a step, how far it goes.
@pytest.mark.parametrize("options", ANCHORED_AT_THE_END, ids=str)
def test_a_step_stays_on_its_device_and_waits_for_nothing(options):
    # A tensor on "meta" has no values: reading one, or mixing it with a tensor on the CPU, raises an error.
    model, batch = lively(**options).to("meta"), batch_for(options).to(torch.device("meta"))
    model.loss(batch, 0.5, torch.Generator().manual_seed(0)).total.backward()
    assert {p.grad.device.type for p in model.parameters() if p.grad is not None} == {"meta"}
    with torch.no_grad():
        assert model.predict(batch).mean.device.type == "meta"
        assert model.sample(batch, torch.randn(2, 4, 4, device="meta")).scale.device.type == "meta"


@every_choice
def test_every_choice_answers_a_series_alone_as_in_company(options):
    model, batch = lively(**options), batch_for(options)
    with torch.no_grad():
        together, alone = model.predict(batch).mean[2:3], model.predict(take(batch, slice(2, 3))).mean
    close(together, alone)


def test_a_trajectory_anchored_at_the_start_passes_there():
    model = lively(anchor="start")
    batch = batch_of([(-0.7, 1.0, 2.0), (0.0, 1.0, 1.0)], queries=[[-0.7, 0.3]])
    z0 = torch.randn(1, 4, generator=torch.Generator().manual_seed(0))
    z = model.trajectory(z0, torch.zeros(1, 3), batch)
    close(z[:, 0], z0)
    later = batch_of([(0.0, 1.0, 2.0)], queries=[[0.0, 1.0]])
    close(z[:, 1], model.trajectory(z0, torch.zeros(1, 3), later)[:, 1], atol=1e-3)


@pytest.mark.parametrize("latent_dim", [1, 2, 3])
def test_a_state_too_small_to_be_divided_is_a_neural_ode(latent_dim):
    model, batch = lively(dynamics="mixed", latent_dim=latent_dim), random_batch()
    assert isinstance(model.dynamics, MLPDynamics)
    assert model.predict(batch).mean.isfinite().all()


def test_dynamics_nobody_knows_are_refused():
    with pytest.raises(ValueError, match="dynamics='magic' must be one of mlp, mixed, linear"):
        LatentODE(LatentODEConfig(n_channels=1, usual_gap=0.1, dynamics="magic"))


# -------------------------------------------------------------------------------------------- trajectory


def test_the_trajectory_starts_at_z0():
    model, batch = lively(), batch_of([(0.0, 1.0, 2.0)], queries=[[0.0, 0.0]])
    z0 = torch.randn(1, 4, generator=torch.Generator().manual_seed(0))
    close(model.trajectory(z0, torch.zeros(1, 3), batch), z0[:, None].expand(1, 2, 4))


@pytest.mark.parametrize("time", [-0.8, -0.2, 0.1, 0.5, 0.9])
def test_the_trajectory_moves_by_the_dynamics(time):
    model, h = lively(n_steps=20).double(), 1e-4
    batch = batch_of([(0.0, 1.0, 2.0)], queries=[[time - h, time, time + h]])
    batch = replace(batch, query_times=torch.tensor([[time - h, time, time + h]], dtype=torch.float64))
    rng = torch.Generator().manual_seed(0)
    z0, context = (torch.randn(1, n, generator=rng, dtype=torch.float64) for n in (4, 3))
    z = model.trajectory(z0, context, batch)
    slope = model.dynamics(torch.tensor(time), z[:, 1], context)
    torch.testing.assert_close((z[:, 2] - z[:, 0]) / (2 * h), slope, atol=1e-3, rtol=1e-3)


def test_finer_steps_change_little():
    coarse, fine = lively(), lively(n_steps=48)
    batch = random_batch()
    close(coarse.predict(batch).mean, fine.predict(batch).mean, atol=2e-3)


def test_how_far_the_others_reach_changes_nothing():
    model, batch = lively(n_steps=1), random_batch()
    with torch.no_grad():
        for parameter in model.dynamics.parameters():
            parameter.mul_(2.0)  # so that steps of another length would be seen
    near = model.predict(batch).mean
    close(model.predict(replace(batch, reach=3)).mean, near)
    ahead = replace(batch, query_times=batch.query_times.abs(), backward=False)
    close(model.predict(replace(ahead, backward=True)).mean, model.predict(ahead).mean)


# ----------------------------------------------------------------------------------------------- predict


def test_a_series_alone_and_in_company_is_answered_alike():
    model, batch = lively(), random_batch()
    together = model.predict(batch)
    for i in range(4):
        alone = model.predict(take(batch, [i]))
        close(alone.mean[0], together.mean[i])
        close(alone.scale[0], together.scale[i])


def test_queries_in_any_order_get_the_same_answers():
    model, batch = lively(), random_batch()
    order = torch.tensor([3, 0, 4, 1, 2])
    shuffled = replace(batch, query_times=batch.query_times[:, order])
    close(model.predict(shuffled).mean, model.predict(batch).mean[:, order])


def test_targets_are_not_read_when_predicting():
    model, batch = lively(), random_batch()
    blind = replace(batch, targets=None, target_mask=None)
    assert torch.equal(model.predict(batch).mean, model.predict(blind).mean)


def test_an_empty_history_is_answered():
    prediction = lively().predict(batch_of([], [(0.0, 1.0, 2.0)], queries=[[0.5], [0.5]]))
    assert prediction.mean.isfinite().all()
    assert (prediction.scale > 0).all()


# ------------------------------------------------------------------------------------------------ sample


def test_samples_without_noise_are_the_prediction():
    model, batch = lively(), random_batch()
    drawn, expected = model.sample(batch, torch.zeros(3, 4, 4)), model.predict(batch)
    for k in range(3):
        close(drawn.mean[k], expected.mean)
        close(drawn.scale[k], expected.scale)


def test_each_sample_is_one_draw_of_z0():
    model, batch = lively(), random_batch()
    noise = torch.randn(3, 4, 4, generator=torch.Generator().manual_seed(1))
    drawn = model.sample(batch, noise)
    encoding = model.encoder(batch)
    for k in range(3):
        z0 = encoding.mean + encoding.log_std.exp() * noise[k]
        close(drawn.mean[k], model.decode(z0, encoding, batch)[0])
    assert (drawn.mean[0] - drawn.mean[1]).abs().max() > 1e-3


def test_inputs_are_filtered_once_for_all_draws():
    options = {"control_dim": 2, "given_dim": 2, "filters": True}
    model, batch = lively(**options), batch_for(options)
    filtered = []
    model.filters.register_forward_hook(lambda _module, given, _answer: filtered.append(len(given[0])))
    model.sample(batch, torch.zeros(5, len(batch.times), model.config.latent_dim))
    assert filtered == [len(batch.times)] * 2  # for the rows and for the queries


@pytest.mark.parametrize("filters", [False, True])
def test_a_response_to_what_is_known_is_carried_into_the_future(filters):
    options = {"given_dim": 2, "control_dim": 2, "filters": filters, "regression": True}
    model, batch = lively(**options), batch_for(options)
    n, features = 200, torch.randn(1, 205, 2, generator=torch.Generator().manual_seed(3))
    gains = torch.tensor([[0.5, -0.3], [0.1, 0.4]])  # (channel, feature)
    times = torch.linspace(-1, 0, n)[None]
    rows = replace(
        batch.take(slice(0, 1)), times=times, mask=torch.ones(1, n, 2), lengths=torch.tensor([n]),
        values=torch.sin(3 * times)[..., None].expand(-1, -1, 2), given=features[:, :n], query_given=features[:, n:],
    )  # fmt: skip
    with torch.no_grad():
        model.regression.log_precision.fill_(-3.0)
        driven = replace(rows, values=rows.values + rows.given @ gains.T)
        change = model.predict(driven).mean - model.predict(rows).mean
    close(change, rows.query_given @ gains.T, atol=0.02)


@pytest.mark.parametrize("size", [1e9, 1e30, float("nan")])
def test_inputs_beyond_all_reason_end_in_no_error_of_linear_algebra(size):
    options = {"given_dim": 4, "control_dim": 2, "regression": True}
    model, batch = lively(**options), batch_for(options)
    batch = replace(batch, given=size * batch.given, query_given=size * batch.query_given)
    with torch.no_grad():
        assert model.predict(batch).mean.shape == (4, 5, 2)


def test_the_response_of_a_series_to_its_doses_is_carried_into_the_future():
    model, batch = lively(impulse_dim=1, regression=True), batch_for({"impulse_dim": 1})
    times, instants = torch.linspace(-1, 0, 200)[None], torch.tensor([[-0.9, -0.4, 0.1]])
    rows = replace(
        batch.take(slice(0, 1)), times=times, mask=torch.ones(1, 200, 2), lengths=torch.tensor([200]),
        values=torch.sin(3 * times)[..., None].expand(-1, -1, 2), impulse_times=instants, impulses=torch.ones(1, 3, 1),
    )  # fmt: skip

    def course(at):  # a one-compartment model: a jump by 2, and a decay at a rate among those of the filters
        rate = model.impulse_filters.log_rate.detach().exp()[0, 3]
        since = at[..., None] - instants[:, None]
        return torch.where(since > 0, 2 * torch.exp(-rate * since.clamp_min(0)), 0.0).sum(-1)

    with torch.no_grad():
        model.regression.log_precision.fill_(-3.0)
        driven = replace(rows, values=rows.values + course(times)[..., None])
        change = model.predict(driven).mean - model.predict(rows).mean
    close(change, course(rows.query_times)[..., None].expand_as(change), atol=0.1)  # the prior shrinks it


@pytest.mark.parametrize("options", [{}, {"control_dim": 2, "given_dim": 2, "filters": True, "regression": True}])
def test_neighbouring_observations_are_sought_once_for_encoder_and_decoder(options, monkeypatch):
    seek, sought = Batch._observed_rows, []
    monkeypatch.setattr(Batch, "_observed_rows", lambda self, none: sought.append(none) or seek(self, none))
    lively(**options).predict(batch_for(options))
    assert len(sought) == 2  # before and after each row


def test_a_deterministic_latent_takes_no_notice_of_noise():
    model, batch = lively(variational=False), random_batch()
    close(model.sample(batch, torch.ones(2, 4, 4)).mean[1], model.predict(batch).mean)


# -------------------------------------------------------------------------------------------------- loss


def test_the_divergence_is_that_of_two_normals():
    rng = torch.Generator().manual_seed(0)
    mean, log_std = torch.randn(5, 3, generator=rng), torch.randn(5, 3, generator=rng)
    close(_kl_from_standard_normal(mean, log_std), kl_divergence(Normal(mean, log_std.exp()), Normal(0.0, 1.0)))


def test_the_loss_is_the_misfit_and_the_weighted_divergence_per_observation():
    model, batch = lively(), random_batch()
    losses = [model.loss(batch, w, torch.Generator().manual_seed(0)) for w in (0.0, 1.0, 3.0)]
    encoding = model.encoder(batch)
    divergence = kl_divergence(Normal(encoding.mean, encoding.log_std.exp()), Normal(0.0, 1.0)).sum()
    close(losses[0].kl, divergence / batch.target_mask.sum())
    close(losses[1].total - losses[0].total, losses[0].kl)
    close(losses[2].total - losses[0].total, 3 * losses[0].kl)


def test_the_misfit_is_the_mean_over_what_was_queried():
    model, batch = lively(variational=False), random_batch()
    encoding = model.encoder(batch)
    each = model.likelihood(*model.decode(encoding.mean, encoding, batch), batch.targets)
    loss = model.loss(batch, 1.0)
    close(loss.total, each[batch.target_mask > 0].mean())
    assert loss.kl == 0


def test_what_was_not_queried_does_not_matter():
    model, batch = lively(), random_batch()
    other = replace(batch, targets=torch.where(batch.target_mask > 0, batch.targets, 1e6))
    losses = [model.loss(b, 1.0, torch.Generator().manual_seed(0)).total for b in (batch, other)]
    close(*losses)


def test_nothing_queried_is_no_loss():
    model, batch = lively(variational=False), random_batch()
    loss = model.loss(replace(batch, target_mask=torch.zeros_like(batch.targets)), 1.0)
    assert loss.total == 0


def test_draws_come_from_the_given_generator_alone():
    model, batch = lively(), random_batch()
    state = torch.get_rng_state()
    first, same, other = (model.loss(batch, 1.0, torch.Generator().manual_seed(s)).total for s in (0, 0, 1))
    assert first == same
    assert first != other
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("adjoint", ["discrete", "autograd"])
def test_every_parameter_learns(adjoint):
    model = lively(adjoint=adjoint)
    model.loss(random_batch(), 1.0, torch.Generator().manual_seed(0)).total.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_the_discrete_adjoint_and_backpropagation_agree():
    gradients = []
    for adjoint in ("discrete", "autograd"):
        model = lively(adjoint=adjoint)
        model.loss(random_batch(), 1.0, torch.Generator().manual_seed(0)).total.backward()
        gradients.append({n: p.grad for n, p in model.named_parameters()})
    for name, gradient in gradients[0].items():
        close(gradient, gradients[1][name], atol=1e-4)


def test_a_loss_without_targets_is_refused():
    with pytest.raises(ValueError, match="targets and target_mask"):
        lively().loss(replace(random_batch(), targets=None), 1.0)


def test_a_config_builds_the_same_model_again():
    config = LatentODEConfig(n_channels=2, usual_gap=0.1, usual_change=(1.0, 2.0), latent_dim=3, hidden_dim=8)
    again = LatentODEConfig(**config.to_dict())
    assert again == config
    model = LatentODE(config)
    LatentODE(again).load_state_dict(model.state_dict())
