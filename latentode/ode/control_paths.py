"""Control paths: known inputs u(t) of dz/dt = f(t, z, u(t)), one path per series.

On each [times[k], times[k + 1]) a path is a polynomial in the time since times[k], and it is constant from the last
knot on. The coefficients are formed once; then each time picks its polynomial, by one gather.
"""

from abc import ABC, abstractmethod
from typing import ClassVar, Self

import torch
from torch import Tensor
from torch.nn.functional import pad

__all__ = ["ControlPath", "CubicSpline", "PiecewiseConstant", "PiecewiseLinear"]


class ControlPath(ABC):
    """A known input through knots; it has the first value before the first knot, and the last value after the last.

    Gradients flow to the values, and (if u depends on them) to the times of the knots and to the times at which u is
    read; at a knot the derivative in t is the one from the right.

    Parameters
    ----------
    times : Tensor
        (series, knot), or (knot,) for all series; rising within a series, padded with NaN at the end where ragged.
    values : Tensor
        (series, knot, channel), or (knot, channel) for all series; not read where the times are padded.

    Attributes
    ----------
    tensors : tuple of Tensor
        ``times`` and ``values`` as they were given.
    times, values : Tensor
        (series, knot), (series, knot, channel); one series if one path serves all.

    Raises
    ------
    TypeError
        If times or values are not tensors of float32 or float64.
    ValueError
        If shapes do not match, times do not rise, or a value at a knot is not finite.
    """

    _smoothness: ClassVar[int]  # continuous derivatives at an inner knot; -1 if u itself jumps

    def __init__(self, times: Tensor, values: Tensor) -> None:
        _check_kinds(times=times, values=values)
        _check_shapes(times, values)
        _check_numbers(*_batched(times.detach(), values.detach()))
        self._lay_out(times, values)

    @property
    def jumps(self) -> Tensor | None:
        """Times at which u may jump, (series, knot) padded with NaN, or None."""
        return self.times if self._smoothness < 0 else None

    @property
    def kinks(self) -> Tensor | None:
        """Times at which u is continuous but du/dt may jump, (series, knot) padded with NaN, or None."""
        return self.times if self._smoothness == 0 else None

    def __call__(self, t: Tensor) -> Tensor:
        """Return u at ``t``.

        Parameters
        ----------
        t : Tensor
            (series, time), in any order; u is NaN where t is.

        Returns
        -------
        Tensor
            (series, time, channel), in the values' dtype.

        Raises
        ------
        ValueError
            If ``t`` is not (series, time), or not of as many series as the path.
        """
        if t.dim() != 2 or len(self.times) not in (1, len(t)):
            raise ValueError(f"t must be (series, time) for {len(self.times)} series, not {tuple(t.shape)}")
        t = t.to(torch.promote_types(t.dtype, self._knots.dtype)).contiguous()
        index = (torch.searchsorted(self._later.to(t.dtype), t, right=True) + self._first).view(-1)
        passed = (t - self._knots.index_select(0, index).view_as(t)).clamp(min=0.0).to(self._table.dtype).unsqueeze(-1)
        picked = self._table.index_select(0, index).view(*t.shape, *self._table.shape[1:])
        u = torch.zeros_like(passed)  # so that even a constant is NaN where t is
        for coefficient in reversed(picked.unbind(2)):
            u = torch.addcmul(coefficient, u, passed)
        return u

    def with_tensors(self, *tensors: Tensor) -> Self:
        """Return the same kind of path for other ``tensors``, to which its gradients then flow.

        They are not checked, so that the host need not read them.
        """
        path = object.__new__(type(self))
        path._lay_out(*tensors)
        return path

    def repeat(self, copies: int) -> Self:
        """Return the path of series laid out ``copies`` times: row ``copy * series + i`` is series i."""
        if copies == 1 or len(self.times) == 1:
            return self
        return self.with_tensors(self.times.repeat(copies, 1), self.values.repeat(copies, 1, 1))

    @abstractmethod
    def _polynomials(self, values: Tensor, gap: Tensor, slope: Tensor, inner: Tensor) -> tuple[Tensor, ...]:
        """Return the coefficients from each knot to the next, the constant first, (series, knot, channel) each.

        ``inner`` tells whether there is a next knot. If not, ``gap`` to it is 1 and ``slope`` is 0.
        """

    def _lay_out(self, times: Tensor, values: Tensor) -> None:
        self.tensors = (times, values)
        self.times, self.values = times, values = _batched(times, values)
        real = ~torch.isnan(times)
        inner = pad(real[:, 1:], (0, 1)).unsqueeze(-1)
        gap = pad(torch.where(real[:, 1:], times.diff(dim=1), 1.0), (0, 1), value=1.0).unsqueeze(-1)
        slope = torch.where(inner, _shifted(values, -1) - values, 0.0) / gap
        self._table = torch.stack(self._polynomials(values, gap, slope, inner), 2).flatten(0, 1).to(values.dtype)
        knots = torch.where(real, times, torch.inf)
        self._knots = knots.flatten()
        self._later = (knots[0, 1:] if len(knots) == 1 else knots[:, 1:]).detach().contiguous()
        self._first = torch.arange(len(knots), device=times.device).unsqueeze(1) * knots.shape[1]


class PiecewiseConstant(ControlPath):
    """u(t) = values[k] on [times[k], times[k + 1]): a value that holds until the next one, such as a dose rate.

    At a jump u is the value from the right; a step that ends there reads u just before it. The gradient of u in t and
    times is zero, though a solution does depend on the times of the jumps. Parameters are those of
    :class:`ControlPath`.

    Examples
    --------
    >>> path = PiecewiseConstant(torch.tensor([0.0, 1.0]), torch.tensor([[5.0], [7.0]]))
    >>> path(torch.tensor([[-1.0, 0.9, 1.0, 3.0]])).squeeze(-1)
    tensor([[5., 5., 7., 7.]])
    """

    _smoothness = -1

    def _polynomials(self, values: Tensor, gap: Tensor, slope: Tensor, inner: Tensor) -> tuple[Tensor, ...]:
        return (values,)


class PiecewiseLinear(ControlPath):
    """u(t) is linear between knots.

    Parameters, attributes and errors are those of :class:`ControlPath`.

    Examples
    --------
    >>> path = PiecewiseLinear(torch.tensor([0.0, 1.0]), torch.tensor([[5.0], [7.0]]))
    >>> path(torch.tensor([[-1.0, 0.5, 1.0, 3.0]])).squeeze(-1)
    tensor([[5., 6., 7., 7.]])
    """

    _smoothness = 0

    def _polynomials(self, values: Tensor, gap: Tensor, slope: Tensor, inner: Tensor) -> tuple[Tensor, ...]:
        return values, slope


class CubicSpline(ControlPath):
    """u(t) is the natural cubic spline: two derivatives are continuous between the first knot and the last.

    It is not causal: each value changes u everywhere, a little. The slope is not 0 at the two ends, where u becomes
    constant, so the knots should cover the span of a solve. Parameters, attributes and errors are those of
    :class:`ControlPath`.

    Examples
    --------
    >>> path = CubicSpline(torch.tensor([0.0, 1.0, 2.0]), torch.tensor([[0.0], [1.0], [0.0]]))
    >>> path(torch.tensor([[-1.0, 0.5, 1.0, 3.0]])).squeeze(-1)
    tensor([[0.0000, 0.6875, 1.0000, 0.0000]])

    References
    ----------
    de Boor (1978), A Practical Guide to Splines, chapter IV.
    Morrill, Kidger, Yang & Lyons (2021), Neural controlled differential equations for online prediction tasks.
    """

    _smoothness = 2

    def _polynomials(self, values: Tensor, gap: Tensor, slope: Tensor, inner: Tensor) -> tuple[Tensor, ...]:
        before, interior = _shifted(gap, 1), inner & _shifted(inner, 1)
        weight = torch.where(interior, 0.5 / (before + gap), 0.0)
        bend = _solve_tridiagonal(weight * before, weight * gap, 6.0 * weight * (slope - _shifted(slope, 1)))
        after = _shifted(bend, -1)
        return values, slope - gap * (2.0 * bend + after) / 6.0, bend / 2.0, (after - bend) / (6.0 * gap)


def _solve_tridiagonal(a: Tensor, c: Tensor, d: Tensor) -> Tensor:
    """Solve a_k x_{k-1} + x_k + c_k x_{k+1} = d_k, where abs(a_k) + abs(c_k) <= 1/2, (series, knot, channel).

    Parallel cyclic reduction (Hockney & Jesshope 1981): every round eliminates all neighbours at once, and couples each
    unknown to others twice as far away. It also squares the bound on abs(a_k) + abs(c_k): after six rounds the bound is
    2^-64, so that the remaining coupling is below the rounding of float64, however many knots there are.
    """
    for level in range(min(6, (a.shape[1] - 1).bit_length())):
        s = 2**level
        scale = 1.0 / (1.0 - a * _shifted(c, s) - c * _shifted(a, -s))
        d = scale * (d - a * _shifted(d, s) - c * _shifted(d, -s))
        a, c = -scale * a * _shifted(a, s), -scale * c * _shifted(c, -s)
    return d


def _shifted(x: Tensor, by: int) -> Tensor:
    """Move every row ``by`` knots later, and fill with zeros."""
    return pad(x, (0, 0, by, -by))


def _batched(times: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Return both with a series dimension, (series, knot) and (series, knot, channel)."""
    times = times if times.dim() == 2 else times.unsqueeze(0)
    values = values if values.dim() == 3 else values.unsqueeze(0)
    n = len(values) if len(times) == 1 else len(times)
    return times.expand(n, -1), values.expand(n, -1, -1)


def _check_kinds(**given: Tensor) -> None:
    for name, x in given.items():
        kind = x.dtype if isinstance(x, Tensor) else type(x).__name__
        if kind not in (torch.float32, torch.float64):
            raise TypeError(f"{name} must be a float32 or float64 tensor, not {kind}: convert (complex: two channels)")


def _check_shapes(times: Tensor, values: Tensor) -> None:
    agree = times.dim() in (1, 2) and values.dim() in (2, 3) and times.shape[-1] == values.shape[-2] > 0
    if not agree or len({*times.shape[:-1], *values.shape[:-2]} - {1}) > 1:
        wanted = "give at least one knot: times ([series,] knot) and values ([series,] knot, channel)"
        raise ValueError(f"{wanted}, of the same series and knots: not {tuple(times.shape)} and {tuple(values.shape)}")


def _check_numbers(t: Tensor, v: Tensor) -> None:
    padded = t.isnan()
    for i, k in (padded[:, :-1] & ~padded[:, 1:]).nonzero()[:1].tolist():
        raise ValueError(f"times: series {i}, knot {k} is NaN before a knot that is not: pad at the end only")
    for i, k in (t.isinf() | (padded & padded[:, :1])).nonzero()[:1].tolist():
        raise ValueError(f"times: series {i}, knot {k} is {t[i, k]:g}: every series needs a finite time to begin with")
    for i, k in (t.diff(dim=1) <= 0).nonzero()[:1].tolist():
        found = f"series {i}, knot {k + 1}: {t[i, k + 1].item()} after {t[i, k].item()}"
        raise ValueError(f"times not rising: {found}. Sort the knots of each series, and keep one per time")
    for i, k, j in (~v.isfinite() & ~padded.unsqueeze(-1)).nonzero()[:1].tolist():
        found = f"series {i}, knot {k}, channel {j} is {v[i, k, j]:g}"
        raise ValueError(f"values: {found}. Fill it in or drop the knot; padding is marked by NaN times")
