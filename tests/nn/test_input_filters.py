"""Known inputs filtered in closed form."""

import numpy as np
import pytest
import torch
from scipy.signal import lsim
from torch.autograd import gradcheck

from latentode.nn.input_filters import MOST_INPUTS, N_SCALES, InputFilters, linear_recurrence


def _filters(n_inputs=1, context_dim=0, typical_gap=0.1, seed=0):
    torch.manual_seed(seed)
    filters = InputFilters(n_inputs, context_dim, typical_gap).double()
    if filters.from_context is not None:
        torch.nn.init.normal_(filters.from_context.weight)
    return filters


def _inputs(n_knots=7, n_inputs=1, n_series=2, seed=0):
    rng = torch.Generator().manual_seed(seed)
    times = torch.rand(n_series, n_knots, generator=rng, dtype=torch.float64).cumsum(1) - 1.5
    return times, torch.randn(n_series, n_knots, n_inputs, generator=rng, dtype=torch.float64)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 7, 8, 33])
def test_the_recurrence_equals_a_loop(n):
    rng = torch.Generator().manual_seed(n)
    kept, added = (torch.randn(3, n, 2, generator=rng, dtype=torch.float64) for _ in range(2))
    x, steps = torch.zeros(3, 2, dtype=torch.float64), []
    for k in range(n):
        x = kept[:, k] * x + added[:, k]
        steps.append(x)
    expected = torch.stack(steps, 1) if steps else added
    assert torch.allclose(linear_recurrence(kept, added), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("n_knots", [5, 10_000])
def test_the_filters_are_those_of_scipy(n_knots):
    filters = _filters()
    grid = torch.linspace(0.0, 3.0, max(301, n_knots), dtype=torch.float64)
    knots = torch.tensor([0, 20, 21, 90, 250]) if n_knots == 5 else torch.arange(n_knots)
    times, values = grid[knots][None], _inputs(n_knots, n_series=1)[1]
    held = values[0, torch.searchsorted(times[0], grid, right=True) - 1, 0]
    found = filters(times, values, grid[None])[0] / filters.gain
    for k, rate in enumerate(filters.log_rate.detach().exp()[0].tolist()):
        _, y, _ = lsim(([[-rate]], [[rate]], [[1.0]], [[0.0]]), held.numpy(), grid.numpy(), interp=False)
        assert np.abs(found[:, k].detach().numpy() - np.ravel(y)).max() < 1e-9


def test_a_step_of_the_input_is_approached_exponentially():
    filters = _filters()
    x = filters(torch.zeros(1, 1).double(), torch.ones(1, 1, 1).double(), torch.tensor([[0.0, 0.3, 50.0]]).double())
    rates = filters.log_rate.detach().exp()[0]
    expected = filters.gain * (1 - torch.exp(-rates * torch.tensor([[0.0], [0.3], [50.0]])))
    assert torch.allclose(x[0], expected, rtol=1e-12)


def test_a_pulse_between_two_queries_counts_wherever_they_lie():
    filters = _filters()
    times = torch.tensor([[0.0, 0.5, 0.5 + 1e-6]], dtype=torch.float64)
    pulse = times, torch.tensor([[[0.0], [1e6], [0.0]]]).double()
    x = filters(*pulse, torch.tensor([[0.4, 0.6]]).double())
    rates = filters.log_rate.detach().exp()[0]
    assert (x[0, 0] == 0).all()
    assert torch.allclose(x[0, 1], filters.gain * rates * torch.exp(-0.1 * rates), rtol=1e-3)


def test_gradients_reach_inputs_rates_and_context():
    filters = _filters(n_inputs=2, context_dim=3)
    times, values = _inputs(n_inputs=2)
    queries = torch.tensor([[-0.2, 0.4, 1.7]]).double().expand(2, -1)
    context = torch.randn(2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))

    def response(values, context, log_rate):
        rated = {"log_rate": log_rate}
        return torch.func.functional_call(filters, rated, (times, values, queries, context))

    given = (values, context, filters.log_rate.detach())
    assert gradcheck(response, tuple(x.clone().requires_grad_() for x in given))


def test_an_answer_depends_on_no_other_query_series_or_later_input():
    filters = _filters(n_inputs=2)
    times, values = _inputs(n_inputs=2)
    queries = torch.tensor([[0.1, -0.3], [0.2, 0.9]]).double()
    together = filters(times, values, queries)
    assert torch.equal(filters(times[1:], values[1:], queries[1:, :1]), together[1:, :1])
    later = torch.where((times > 0.1)[..., None], 99.0, values)
    assert torch.equal(filters(times, later, queries)[0], together[0])


def test_padding_changes_nothing_and_a_series_without_inputs_has_zeros():
    filters = _filters()
    times, values = _inputs()
    queries = torch.tensor([[0.1, 0.7], [0.2, 0.9]]).double()
    padded_times = torch.cat([times, torch.full((2, 3), torch.inf)], 1)
    padded = filters(padded_times, torch.cat([values, torch.zeros(2, 3, 1)], 1), queries)
    assert torch.allclose(padded, filters(times, values, queries), rtol=1e-12)
    nothing = torch.full((2, 4), torch.inf).double()
    assert (filters(nothing, torch.zeros(2, 4, 1).double(), queries) == 0).all()
    assert filters(torch.zeros(2, 0), torch.zeros(2, 0, 1), queries).shape == (2, 2, N_SCALES)


def test_many_inputs_are_mixed_to_a_few():
    filters = _filters(n_inputs=MOST_INPUTS + 3)
    times, values = _inputs(n_inputs=MOST_INPUTS + 3)
    assert filters(times, values, times).shape[-1] == InputFilters.n_features(MOST_INPUTS + 3) == MOST_INPUTS * N_SCALES


def test_a_long_input_takes_a_number_of_operators_that_grows_as_its_logarithm():
    def operators(n_knots):
        times, values = _inputs(n_knots)
        with torch.autograd.profiler.profile() as recorded:
            linear_recurrence(torch.full_like(values, 0.5), values)
        assert len(times) == 2
        return sum(event.count for event in recorded.key_averages())

    assert operators(8_000) <= 3 * operators(80)
