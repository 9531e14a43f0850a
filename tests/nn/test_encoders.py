import pytest
import torch

from latentode.nn import ENCODERS, Batch, Encoder
from latentode.nn.features import TypicalScales
from tests.nn.batches import NAN, batch_of, lively, random_batch

HISTORY = [(-1.0, 1.0, NAN), (-0.5, 3.0, 1.0), (0.0, 2.0, NAN)]
USUAL = TypicalScales(torch.tensor(0.2), torch.ones(2))
LONG = [(-2.0 + 0.1 * k, float(k % 3), 1.0) for k in range(20)]
SHORT = [(-1.0, 1.0, NAN), (-0.5, 3.0, 1.0), (0.0, 2.0, NAN)]
every_encoder = pytest.mark.parametrize("name", ENCODERS)
both_ways = pytest.mark.parametrize("backward", [False, True])


def encodings(*batches):
    encoder = lively().encoder
    return [encoder(batch) for batch in batches]


def assert_same(left, right, row=0):
    for name in vars(left):
        torch.testing.assert_close(getattr(left, name)[row], getattr(right, name)[row], atol=1e-6, rtol=1e-5)


def test_sizes_are_as_said():
    encoding = lively(latent_dim=5, context_dim=3).encoder(random_batch(4))
    assert encoding.mean.shape == encoding.log_std.shape == (4, 5)
    assert encoding.context.shape == (4, 3)
    assert encoding.level.shape == (4, 2)


def test_a_series_alone_and_in_company_is_encoded_alike():
    longer = [(-2.0 + 0.1 * k, float(k), 1.0) for k in range(20)]
    assert_same(*encodings(batch_of(HISTORY), batch_of(HISTORY, longer, [])))


def test_padding_is_not_read():
    assert_same(*encodings(batch_of(HISTORY), batch_of(HISTORY, pad=6)))


def test_the_order_of_series_does_not_matter():
    batches = batch_of(HISTORY, HISTORY[1:], HISTORY[2:]), batch_of(HISTORY[2:], HISTORY[1:], HISTORY)
    forth, back = encodings(*batches)
    for name in vars(forth):
        torch.testing.assert_close(getattr(forth, name), getattr(back, name).flip(0), atol=1e-6, rtol=1e-5)


def test_a_history_without_rows_is_one_row_without_observations():
    assert_same(*encodings(batch_of([], HISTORY), batch_of([(0.0, NAN, NAN)], HISTORY)))


def test_every_observation_is_read():
    (before,) = encodings(batch_of(HISTORY))
    for row, channel in ((0, 1), (1, 1), (1, 2), (2, 1)):
        changed = [list(r) for r in HISTORY]
        changed[row][channel] += 0.5
        (after,) = encodings(batch_of([tuple(r) for r in changed]))
        assert (after.mean - before.mean).abs().max() > 1e-4, (row, channel)


def test_the_time_of_an_observation_is_read():
    (before,) = encodings(batch_of(HISTORY))
    (after,) = encodings(batch_of([HISTORY[0], (-0.3, 3.0, 1.0), HISTORY[2]]))
    assert (after.mean - before.mean).abs().max() > 1e-4


def test_absurd_values_leave_the_encoding_finite():
    (encoding,) = encodings(batch_of([(-1.0, 1e6, -1e6), (-1e-12, -1e6, 1e6), (0.0, 1e6, NAN)]))
    for name in ("mean", "log_std", "context"):
        assert getattr(encoding, name).isfinite().all()
        assert getattr(encoding, name).abs().max() < 1e3


def test_a_new_encoder_is_sure_of_what_it_reads():
    torch_state = torch.get_rng_state()
    encoder = Encoder(2, 4, 3, 16, usual_gap=0.2, usual_change=(1.0, 1.0))
    torch.set_rng_state(torch_state)
    assert (encoder(random_batch()).log_std.mean() + 3).abs() < 0.5


# ---------------------------------------------------------------------------------------------------- history encoders


def encoder_of(name, backward=False, given_dim=0, n_channels=2):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return ENCODERS[name](n_channels, 16, given_dim, backward).eval()


def close(left, right):
    torch.testing.assert_close(left, right, atol=1e-5, rtol=1e-4)


@every_encoder
@both_ways
def test_a_series_is_read_alike_alone_in_company_and_padded(name, backward):
    encoder = encoder_of(name, backward)
    (alone,) = encoder(batch_of(SHORT), USUAL)
    close(encoder(batch_of(LONG, SHORT, []), USUAL)[1], alone)
    close(encoder(batch_of(SHORT, pad=6), USUAL)[0], alone)
    assert alone.shape == (16,)


@every_encoder
@both_ways
def test_every_value_and_time_is_read(name, backward):
    encoder = encoder_of(name, backward)
    before = encoder(batch_of(SHORT), USUAL)
    for row, column in ((0, 1), (1, 0), (1, 1), (1, 2), (2, 1)):
        changed = [list(r) for r in SHORT]
        changed[row][column] += 0.3
        after = encoder(batch_of([tuple(r) for r in changed]), USUAL)
        assert (after - before).abs().max() > 1e-5, (row, column)


@every_encoder
def test_a_history_without_rows_or_values_is_read(name):
    found = encoder_of(name)(batch_of([], [(0.0, NAN, NAN)], [(-1.0, NAN, NAN), (0.0, 1.0, NAN)]), USUAL)
    assert found.isfinite().all()


@every_encoder
def test_absurd_values_leave_the_state_finite(name):
    found = encoder_of(name)(batch_of([(-1.0, 1e6, -1e6), (-1e-12, -1e6, 1e6), (0.0, 1e6, NAN)]), USUAL)
    assert found.isfinite().all()


@every_encoder
def test_every_weight_learns(name):
    encoder = encoder_of(name)
    encoder(random_batch(), USUAL).square().sum().backward()
    assert [n for n, p in encoder.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


@every_encoder
def test_seasons_are_read(name):
    batch = random_batch()
    with_seasons = [
        Batch(**{**vars(batch), "given": torch.full((*batch.times.shape, 4), value)}) for value in (0.0, 0.5)
    ]
    left, right = (encoder_of(name, given_dim=4)(b, USUAL) for b in with_seasons)
    assert (left - right).abs().max() > 1e-5


def test_the_ode_rnn_moves_by_its_own_euler_step_between_observations():
    encoder = encoder_of("odernn")
    early = batch_of([(-0.5, 1.0, 2.0), (0.0, NAN, NAN)])
    rows = torch.tensor([[1.0, 2.0, 1.0, 1.0]])
    h = encoder.cell(rows, torch.zeros(1, 16))
    close(encoder(early, USUAL), h + 0.5 * encoder.slope(h))
