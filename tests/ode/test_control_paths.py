import itertools

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from latentode.ode.control_paths import ControlPath, CubicSpline, PiecewiseConstant, PiecewiseLinear
from tests.ode.operators import counted

PATHS = (PiecewiseConstant, PiecewiseLinear, CubicSpline)
SMOOTH = (PiecewiseLinear, CubicSpline)
NAN = float("nan")

each_path = pytest.mark.parametrize("kind", PATHS)


def panel(series=4, knots=9, channels=2, dtype=torch.float64):
    """Knots at least 0.1 apart between about -1 and 6, each series its own."""
    times = torch.rand(series, knots, dtype=dtype).add(0.1).cumsum(1) - 1.0
    return times, torch.randn(series, knots, channels, dtype=dtype)


def ragged(counts=(5, 1, 3, 2)):
    times, values = panel(len(counts), max(counts))
    for i, n in enumerate(counts):
        times[i, n:] = NAN
        values[i, n:] = NAN
    return times, values


def queries(times, n=50):
    return torch.rand(len(times), n, dtype=times.dtype) * 10.0 - 3.0


@pytest.mark.parametrize("knots", [1, 2, 3, 9])
def test_the_linear_path_is_numpy_interp(knots):
    numpy = pytest.importorskip("numpy")
    times, values = panel(knots=knots)
    t = queries(times)
    u = PiecewiseLinear(times, values)(t)
    for i, j in itertools.product(range(4), range(2)):
        wanted = numpy.interp(t[i].numpy(), times[i].numpy(), values[i, :, j].numpy())
        assert u[i, :, j].numpy() == pytest.approx(wanted, abs=1e-13)


@pytest.mark.parametrize("knots", [2, 3, 4, 5, 8, 9, 17, 33, 200])
@pytest.mark.parametrize("uneven", [1.0, 4.0])
def test_the_cubic_path_is_the_natural_spline_of_scipy_with_constants_at_both_ends(knots, uneven):
    interpolate = pytest.importorskip("scipy.interpolate")
    times = torch.rand(3, knots, dtype=torch.float64).add(0.05).pow(uneven).cumsum(1)
    values = torch.randn(3, knots, 2, dtype=torch.float64)
    t = torch.linspace(-0.1, 1.1, 301, dtype=torch.float64) * times[:, -1:]
    u = CubicSpline(times, values)(t)
    for i in range(3):
        spline = interpolate.CubicSpline(times[i].numpy(), values[i].numpy(), bc_type="natural")
        wanted = torch.as_tensor(spline(t[i].clamp(times[i, 0], times[i, -1]).numpy()))
        assert float((u[i] - wanted).abs().max()) < 1e-11 * float(wanted.abs().max())


def test_the_cubic_path_has_two_continuous_derivatives_and_bends_nowhere_at_its_ends():
    times, values = panel(1, 6, 1)
    path = CubicSpline(times, values)

    def derivatives(t):
        t = t.requires_grad_()
        (first,) = torch.autograd.grad(path(t).sum(), t, create_graph=True)
        (second,) = torch.autograd.grad(first.sum(), t)
        return torch.stack([first.detach(), second])

    assert torch.allclose(derivatives(times[:, 1:-1] - 1e-9), derivatives(times[:, 1:-1].clone()), atol=1e-6)
    ends = torch.stack([times[:, 0] + 1e-9, times[:, -1] - 1e-9], 1)
    assert float(derivatives(ends)[1].abs().max()) < 1e-6


@each_path
def test_a_path_in_float32_may_be_queried_at_times_in_float64(kind):
    times, values = panel(dtype=torch.float32)
    path, at = kind(times, values), torch.linspace(-2.0, 7.0, 50, dtype=torch.float64).expand(4, -1)
    u = path(at)
    assert u.dtype == torch.float32
    assert torch.allclose(u, path(at.float()), atol=1e-4)


@each_path
def test_a_path_is_exact_at_its_knots(kind):
    times, values = panel()
    assert torch.equal(kind(times, values)(times), values)


@each_path
def test_the_first_and_the_last_value_continue_outside_with_derivative_zero(kind):
    times, values = ragged()
    t = torch.tensor([-1e6, -9.0, 99.0, 1e6], dtype=torch.float64).repeat(4, 1).requires_grad_()
    u = kind(times, values)(t)
    last = torch.stack([values[i, n - 1] for i, n in enumerate((5, 1, 3, 2))])
    assert torch.equal(u[:, :2], values[:, :1].expand(-1, 2, -1))
    assert torch.equal(u[:, 2:], last.unsqueeze(1).expand(-1, 2, -1))
    assert torch.equal(torch.autograd.grad(u.sum(), t)[0], torch.zeros_like(t))


def test_the_constant_path_holds_from_each_knot_until_just_before_the_next():
    times, values = panel()
    path = PiecewiseConstant(times, values)
    before = torch.nextafter(times, torch.tensor(-torch.inf, dtype=times.dtype))
    after = torch.nextafter(times, torch.tensor(torch.inf, dtype=times.dtype))
    assert torch.equal(path(after), values)
    assert torch.equal(path(before)[:, 1:], values[:, :-1])
    assert torch.equal(path(before)[:, 0], values[:, 0])


@each_path
def test_a_padded_series_is_the_series_alone(kind):
    times, values = ragged()
    t = queries(times)
    u = kind(times, values)(t)
    for i, n in enumerate((5, 1, 3, 2)):
        alone = kind(times[i : i + 1, :n], values[i : i + 1, :n])(t[i : i + 1])
        assert torch.allclose(u[i : i + 1], alone, atol=1e-13)


@each_path
def test_all_times_at_once_are_the_times_one_by_one_in_any_order(kind):
    times, values = ragged()
    path, t = kind(times, values), queries(times, 20)
    one_by_one = torch.cat([path(column) for column in t.split(1, dim=1)], 1)
    assert torch.equal(path(t), one_by_one)
    assert path(t[:, :1]).shape == (4, 1, 2)
    assert path(t[:, :0]).shape == (4, 0, 2)
    assert torch.equal(path(t.t().contiguous().t()), one_by_one)


@each_path
def test_what_all_series_share_is_given_once(kind):
    times, values = panel()
    t = queries(times)
    for shared_times, shared_values in itertools.product((True, False), repeat=2):
        few = kind(times[0] if shared_times else times, values[0] if shared_values else values)
        full = kind(
            times[:1].repeat(4, 1) if shared_times else times, values[:1].repeat(4, 1, 1) if shared_values else values
        )
        assert torch.equal(few(t), full(t))


@each_path
def test_repeated_series_are_laid_out_copy_by_copy(kind):
    times, values = ragged()
    t = queries(times, 7)
    path, both = kind(times, values), torch.cat([t, t + 0.3])
    assert torch.equal(path.repeat(2)(both), torch.cat([path(t), path(t + 0.3)]))
    shared = kind(times[0], values[0])
    assert torch.equal(shared.repeat(2)(both), torch.cat([shared(t), shared(t + 0.3)]))


@each_path
def test_gradients_flow_through_repeated_series_to_the_tensors_given(kind):
    times, values = panel()
    values.requires_grad_()
    t = queries(times, 7)
    once = torch.autograd.grad(kind(times, values)(t).sum(), values)[0]
    twice = torch.autograd.grad(kind(times, values).repeat(2)(t.repeat(2, 1)).sum(), values)[0]
    assert torch.allclose(twice, 2.0 * once)


@each_path
def test_u_is_nan_where_t_is_and_nowhere_else(kind):
    times, values = ragged()
    t = queries(times, 6)
    t[0, 2] = t[3, 5] = NAN
    u = kind(times, values)(t)
    assert torch.equal(u.isnan(), t.isnan().unsqueeze(-1).expand_as(u))


@each_path
def test_gradients_in_values_pass_gradcheck_and_padding_receives_none(kind):
    times, values = ragged()
    t = queries(times, 12)
    values = values.nan_to_num(0.0).requires_grad_()
    assert gradcheck(lambda v: kind(times, v)(t), (values,))
    (g,) = torch.autograd.grad(kind(times, values)(t).sum(), values)
    assert torch.equal(g[times.isnan()], torch.zeros_like(g[times.isnan()]))


@pytest.mark.parametrize("kind", SMOOTH)
def test_gradients_in_t_and_in_the_knots_times_pass_gradcheck_twice(kind):
    times, values = panel(3, 5)
    t = queries(times, 8).requires_grad_()
    times.requires_grad_()
    values.requires_grad_()
    assert gradcheck(lambda *x: kind(*x[:2])(x[2]), (times, values, t))
    assert gradgradcheck(lambda *x: kind(*x[:2])(x[2]), (times, values, t))


@each_path
def test_gradients_of_ragged_knots_are_finite_and_those_of_the_series_alone(kind):
    times, values = ragged()
    t = queries(times, 12)
    times.requires_grad_()
    values.requires_grad_()
    g_times, g_values = torch.autograd.grad(kind(times, values)(t).square().sum(), (times, values))
    for i, n in enumerate((5, 1, 3, 2)):
        alone = [x[i : i + 1, :n].detach().requires_grad_() for x in (times, values)]
        g_alone = torch.autograd.grad(kind(*alone)(t[i : i + 1]).square().sum(), alone)
        assert torch.allclose(g_times[i : i + 1, :n], g_alone[0], atol=1e-11)
        assert torch.allclose(g_values[i : i + 1, :n], g_alone[1], atol=1e-11)
        assert not g_times[i, n:].any()
        assert not g_values[i, n:].any()


def test_the_gradient_of_the_constant_path_in_t_and_times_is_zero():
    times, values = panel()
    t = queries(times).requires_grad_()
    times.requires_grad_()
    g = torch.autograd.grad(PiecewiseConstant(times, values)(t).sum(), (t, times))
    assert all(torch.equal(each, torch.zeros_like(each)) for each in g)


@each_path
def test_with_tensors_is_the_same_path_whose_gradients_flow_to_the_new_tensors(kind):
    times, values = ragged()
    t = queries(times, 6)
    path = kind(times, values)
    assert path.tensors[0] is times
    assert path.tensors[1] is values
    replaced = [x.detach().clone().requires_grad_() for x in path.tensors]
    other = path.with_tensors(*replaced)
    assert type(other) is kind
    assert torch.equal(other(t), path(t))
    assert torch.autograd.grad(other(t).sum(), replaced[1])[0].any()
    assert not path(t).requires_grad


@each_path
def test_the_number_of_operators_depends_on_neither_times_nor_series_nor_knots(kind):
    small, large = kind(*panel(2, 70)), kind(*panel(64, 300))
    one, many = torch.zeros(2, 1, dtype=torch.float64), torch.rand(64, 500, dtype=torch.float64)
    names = counted(lambda: small(one))
    assert names == counted(lambda: large(many))
    assert len(names) < 25
    assert counted(lambda: kind(*small.tensors)) == counted(lambda: kind(*large.tensors))


def test_a_call_does_not_solve_for_the_spline_again():
    path = CubicSpline(*panel())
    names = counted(lambda: path(torch.zeros(4, 3, dtype=torch.float64)))
    assert not {"constant_pad_nd", "reciprocal", "div", "stack", "cat"} & set(names)


@each_path
def test_with_tensors_reads_nothing_from_the_device(kind):
    path = kind(*ragged())
    assert not {"nonzero", "_local_scalar_dense", "is_nonzero"} & set(counted(lambda: path.with_tensors(*path.tensors)))


def test_jumps_and_kinks_are_the_knots_where_there_are_any():
    times, values = ragged()
    constant, linear, cubic = (kind(times, values) for kind in PATHS)
    assert torch.allclose(constant.jumps, times, equal_nan=True)
    assert torch.allclose(linear.kinks, times, equal_nan=True)
    assert constant.kinks is linear.jumps is cubic.jumps is cubic.kinks is None
    assert PiecewiseConstant(times[0], values[0]).jumps.shape == (1, 5)


@each_path
def test_float64_times_beside_float32_values_keep_their_resolution(kind):
    times, values = panel()
    far = times + 1.7e9
    t = (queries(times) + 1.7e9).requires_grad_()
    u = kind(far, values.float())(t)
    wanted = kind(far - 1.7e9, values)(t - 1.7e9)
    assert u.dtype == torch.float32
    assert torch.allclose(u.double(), wanted, atol=1e-4)


@each_path
def test_float32_answers_in_float32_whatever_the_dtype_of_t(kind):
    times, values = panel(dtype=torch.float32)
    t = queries(times)
    path = kind(times, values)
    assert path(t).dtype == path(t.double()).dtype == torch.float32
    assert torch.allclose(path(t), path(t.double()), atol=1e-4)
    assert torch.equal(path(torch.zeros(4, 1, dtype=torch.int64)), path(torch.zeros(4, 1)))


@each_path
def test_no_series_are_no_answers(kind):
    assert kind(torch.zeros(0, 3), torch.zeros(0, 3, 2))(torch.zeros(0, 5)).shape == (0, 5, 2)


def test_the_protocol_alone_cannot_be_made():
    with pytest.raises(TypeError, match="abstract"):
        ControlPath(torch.zeros(1), torch.zeros(1, 1))


def spoiled(index, times_at=None, values_at=None):
    times, values = torch.arange(6.0).repeat(4, 1), torch.zeros(4, 6, 2)
    if times_at is not None:
        times[index] = times_at
    if values_at is not None:
        values[index] = values_at
    return times, values


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (spoiled((3, 5), 2.0), "times not rising: series 3, knot 5: 2.0 after 4.0. Sort"),
        (spoiled((1, 2), 1.0), "times not rising: series 1, knot 2: 1.0 after 1.0"),
        (spoiled((2, 3), NAN), "times: series 2, knot 3 is NaN before"),
        (spoiled((2, 0), NAN), "times: series 2, knot 0 is NaN before"),
        (spoiled(1, NAN), "times: series 1, knot 0 is nan: every series needs a finite time"),
        (spoiled((2, 5), torch.inf), "times: series 2, knot 5 is inf"),
        (spoiled((3, 4, 1), None, NAN), "values: series 3, knot 4, channel 1 is nan. Fill it in or drop the knot"),
        (spoiled((0, 1), None, torch.inf), "values: series 0, knot 1, channel 0 is inf"),
        ((torch.zeros(4, 3), torch.zeros(4, 2, 1)), r"of the same series and knots: not \(4, 3\) and \(4, 2, 1\)"),
        ((torch.zeros(4, 3), torch.zeros(5, 3, 1)), r"\(4, 3\) and \(5, 3, 1\)"),
        ((torch.zeros(4, 0), torch.zeros(4, 0, 1)), "at least one knot"),
        ((torch.zeros(3), torch.zeros(3)), r"\(3,\) and \(3,\)"),
        ((torch.tensor(0.0), torch.zeros(1, 1)), "give at least one knot"),
        ((torch.zeros(1, 4, 3), torch.zeros(4, 3, 1)), "give at least one knot"),
    ],
)
@each_path
def test_numbers_and_shapes_that_make_no_path_are_refused_by_name(kind, given, says):
    with pytest.raises(ValueError, match=says):
        kind(*given)


def test_a_missing_value_is_named_by_its_series_though_the_times_are_shared():
    values = torch.zeros(4, 3, 2)
    values[2, 1, 1] = NAN
    with pytest.raises(ValueError, match="series 2, knot 1, channel 1"):
        PiecewiseLinear(torch.arange(3.0), values)


@pytest.mark.parametrize(
    ("times", "values", "says"),
    [
        (
            torch.zeros(1),
            torch.zeros(1, 1, dtype=torch.complex64),
            "values must .* not torch.complex64: .*two channels",
        ),
        (
            torch.zeros(1, dtype=torch.int64),
            torch.zeros(1, 1),
            "times must be a float32 or float64 tensor, not .*int64",
        ),
        (torch.zeros(1), torch.zeros(1, 1, dtype=torch.float16), "values must .*float16"),
        ([0.0], torch.zeros(1, 1), "times must .* list"),
    ],
)
def test_what_is_not_a_real_tensor_is_refused_by_kind(times, values, says):
    with pytest.raises(TypeError, match=says):
        PiecewiseLinear(times, values)


@pytest.mark.parametrize("shape", [(3, 2), (1, 2), (4,), (4, 2, 1)])
def test_query_times_must_be_those_of_the_series(shape):
    with pytest.raises(ValueError, match=r"t must be \(series, time\) for 4 series"):
        PiecewiseLinear(*panel())(torch.zeros(shape))
