"""Impulses filtered in closed form."""

import pytest
import torch
from scipy.integrate import solve_ivp
from torch.autograd import gradcheck

from latentode.nn.impulse_filters import ImpulseFilters
from latentode.nn.input_filters import MOST_INPUTS, N_SCALES


def _filters(n_inputs=1, context_dim=0, typical_gap=0.1, impulse_gap=1.0, seed=0):
    torch.manual_seed(seed)
    filters = ImpulseFilters(n_inputs, context_dim, typical_gap, impulse_gap).double()
    if filters.from_context is not None:
        torch.nn.init.normal_(filters.from_context.weight)
    return filters


def _impulses(n_impulses=7, n_inputs=1, n_series=2, seed=0):
    rng = torch.Generator().manual_seed(seed)
    instants = torch.rand(n_series, n_impulses, generator=rng, dtype=torch.float64).cumsum(1) - 1.5
    return instants, torch.randn(n_series, n_impulses, n_inputs, generator=rng, dtype=torch.float64)


def test_between_impulses_the_filters_solve_their_equation_and_at_each_they_jump_by_its_amount():
    filters = _filters()
    instants, amounts = _impulses(n_series=1)
    queries = torch.linspace(-2.0, 3.0, 57, dtype=torch.float64)
    found = filters(instants, amounts, queries[None])[0] / filters.gain
    for k, rate in enumerate(filters.log_rate.detach().exp()[0].tolist()):
        x, at, expected = 0.0, -2.0, torch.zeros(len(queries), dtype=torch.float64)
        for instant, amount in [*zip(instants[0].tolist(), amounts[0, :, 0].tolist(), strict=True), (3.0, 0.0)]:
            inside = (queries > at) & (queries <= instant)
            course = solve_ivp(
                lambda _, x, rate=rate: -rate * x,
                (at, instant),
                [x],
                "DOP853",
                dense_output=True,
                rtol=1e-12,
                atol=1e-14,
            )
            expected[inside] = torch.tensor([course.sol(t)[0] for t in queries[inside].tolist()], dtype=torch.float64)
            x, at = course.y[0, -1] + amount, instant
        assert (found[:, k] - expected).abs().max() < 1e-9


def test_the_response_to_doses_is_the_sum_of_the_responses_to_each():
    filters = _filters(n_inputs=2)
    instants, amounts = _impulses(n_inputs=2)
    queries = torch.tensor([[-0.2, 0.4, 1.7]]).double().expand(2, -1)
    each = [filters(instants[:, [k]], amounts[:, [k]], queries) for k in range(instants.shape[1])]
    assert torch.allclose(filters(instants, amounts, queries), sum(each), rtol=1e-12, atol=1e-12)


def test_an_impulse_acts_strictly_after_its_instant():
    filters = _filters()
    x = filters(torch.zeros(1, 1).double(), torch.ones(1, 1, 1).double(), torch.tensor([[0.0, 1e-9]]).double())
    assert (x[0, 0] == 0).all()
    assert torch.allclose(x[0, 1], filters.gain, rtol=1e-6)


def test_gradients_reach_amounts_instants_times_rates_and_context():
    filters = _filters(n_inputs=2, context_dim=3)
    instants, amounts = _impulses(n_inputs=2)
    queries = torch.tensor([[-0.2, 0.4, 1.7]]).double().expand(2, -1)
    context = torch.randn(2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))

    def response(instants, amounts, queries, context, log_rate):
        return torch.func.functional_call(filters, {"log_rate": log_rate}, (instants, amounts, queries, context))

    given = (instants, amounts, queries, context, filters.log_rate.detach())
    assert gradcheck(response, tuple(x.clone().requires_grad_() for x in given))


def test_gradients_are_finite_where_impulses_are_padded():
    filters = _filters()
    instants = torch.tensor([[0.0, torch.inf, torch.inf]]).double()
    amounts = torch.ones(1, 3, 1).double().requires_grad_()
    filters(instants, amounts, torch.tensor([[-1.0, 0.5]]).double()).sum().backward()
    assert (amounts.grad[0, 1:] == 0).all()
    assert all(p.grad.isfinite().all() for p in filters.parameters())


def test_an_answer_depends_on_no_other_query_series_or_later_impulse():
    filters = _filters(n_inputs=2)
    instants, amounts = _impulses(n_inputs=2)
    queries = torch.tensor([[0.1, -0.3], [0.2, 0.9]]).double()
    together = filters(instants, amounts, queries)
    assert torch.equal(filters(instants[1:], amounts[1:], queries[1:, :1]), together[1:, :1])
    later = torch.where((instants > 0.1)[..., None], 99.0, amounts)
    assert torch.equal(filters(instants, later, queries)[0], together[0])


def test_padding_changes_nothing_and_a_series_without_impulses_has_zeros():
    filters = _filters()
    instants, amounts = _impulses()
    queries = torch.tensor([[0.1, 0.7], [0.2, 0.9]]).double()
    padded_instants = torch.cat([instants, torch.full((2, 3), torch.inf)], 1)
    padded = filters(padded_instants, torch.cat([amounts, torch.zeros(2, 3, 1)], 1), queries)
    assert torch.allclose(padded, filters(instants, amounts, queries), rtol=1e-12)
    nothing = torch.full((2, 4), torch.inf).double()
    assert (filters(nothing, torch.zeros(2, 4, 1).double(), queries) == 0).all()
    assert filters(torch.zeros(2, 0), torch.zeros(2, 0, 1), queries).shape == (2, 2, N_SCALES)


@pytest.mark.parametrize(("n", "gap"), [(1, 1.0), (400, 0.01)])
def test_features_are_of_order_one_for_a_single_impulse_and_for_frequent_ones(n, gap):
    filters = _filters(typical_gap=0.01, impulse_gap=gap)
    instants = gap * torch.arange(n, dtype=torch.float64)[None]
    after = filters(instants, torch.ones(1, n, 1).double(), instants[:, -1:] + 1e-6)[0, 0]
    assert (after > 0.2).all()
    assert (after < 2).all()


def test_many_kinds_of_impulses_are_mixed_to_a_few():
    filters = _filters(n_inputs=MOST_INPUTS + 3)
    found = filters(*_impulses(n_inputs=MOST_INPUTS + 3), torch.zeros(2, 1).double())
    assert found.shape[-1] == ImpulseFilters.n_features(MOST_INPUTS + 3) == MOST_INPUTS * N_SCALES
