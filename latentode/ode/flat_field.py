"""Fields of states of any shape, or of several parts, as fields of one flat state."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from latentode.ode.field import Field, State

__all__ = ["FlatField", "flatten"]


def flatten(field: Field, z0: State) -> tuple[Field, Tensor, Callable[[Tensor], Any]]:
    """Return a field of flat states, the flat initial state, and what gives answers (series, time, latent) z0's shape.

    Raises
    ------
    ValueError
        If z0 is not (series, ...), or its parts are not of the same series.
    TypeError
        If z0 is no tensor, sparse, or complex.
    """
    parts = z0 if isinstance(z0, tuple) else (z0,)
    if not all(isinstance(part, Tensor) and part.layout == torch.strided for part in parts):
        got = ", ".join(str(part.layout) if isinstance(part, Tensor) else type(part).__name__ for part in parts)
        raise TypeError(f"z0 must be a dense tensor, or a tuple of dense tensors, not {got}")
    if isinstance(z0, Tensor) and z0.dim() == 2:
        return field, z0, lambda z: z
    if isinstance(z0, Tensor) and z0.dim() < 2:
        raise ValueError(f"z0 must be (series, ...) with at least two dimensions, not {tuple(z0.shape)}")
    if not parts or any(part.dim() == 0 or len(part) != len(parts[0]) for part in parts):
        shapes = ", ".join(str(tuple(part.shape)) for part in parts)
        raise ValueError(f"the parts of z0 must be (series, ...) for the same series, not {shapes}")
    if any(part.is_complex() for part in parts):
        raise TypeError("complex states are not supported: stack real and imaginary parts as two real dimensions")
    flat = FlatField(field, [part.shape[1:] for part in parts], is_tuple=isinstance(z0, tuple))
    return flat, _concatenated(parts), flat.unflatten


class FlatField(nn.Module):
    """A field of a state of any shape, or of a tuple of such states, as a field of one flat state.

    Parameters
    ----------
    field : callable
        The field of the shaped state.
    shapes : sequence of torch.Size
        The shape of each part of the state, without the series.
    is_tuple : bool
        Whether the state is a tuple.
    """

    def __init__(self, field: Field, shapes: Sequence[torch.Size], *, is_tuple: bool) -> None:
        super().__init__()
        self.field = field
        self.shapes, self.is_tuple = shapes, is_tuple

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        """Yield the field's own parameters, as the field itself yields them."""
        if isinstance(self.field, nn.Module):
            yield from self.field.parameters(recurse)

    def forward(self, t: Tensor, z: Tensor, *others: Tensor) -> Tensor:
        """Return dz/dt, (series, latent)."""
        state = self.unflatten(z)
        if not self.is_tuple:
            t = t.view(-1, *[1] * len(self.shapes[0]))
        slope: Any = self.field(t, state, *others)
        slopes = slope if isinstance(slope, tuple | list) and self.is_tuple else (slope,)
        wanted, got = [(len(z), *shape) for shape in self.shapes], [_shape_or_type(part) for part in slopes]
        if got != wanted:
            raise ValueError(f"field(t, z) must return tensors shaped like z, {wanted}, but returned {got}")
        return _concatenated(slopes)

    def unflatten(self, flat: Tensor) -> Any:
        """Split the last dimension into the parts of the state."""
        if not self.is_tuple:
            return flat.reshape((*flat.shape[:-1], *self.shapes[0]))
        sizes = [shape.numel() for shape in self.shapes]
        return tuple(
            part.reshape((*flat.shape[:-1], *shape))
            for part, shape in zip(torch.split(flat, sizes, -1), self.shapes, strict=True)
        )


def _shape_or_type(part: Any) -> Any:
    return tuple(part.shape) if isinstance(part, Tensor) else type(part).__name__


def _concatenated(parts: Sequence[Tensor]) -> Tensor:
    """Return all parts of a state, (series, ...) each, as one row per series."""
    rows = [part.flatten(1) if part.dim() > 1 else part.unsqueeze(1) for part in parts]
    return rows[0] if len(rows) == 1 else torch.cat(rows, 1)
