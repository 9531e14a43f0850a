"""States of any shape: laid out flat for the solver, one row per series, and given back as they were."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from latentode.ode.field import Field

__all__ = ["Flattened", "State", "shaped"]

State = Tensor | tuple[Tensor, ...]


def shaped(field: Field, z0: State) -> tuple[Field, Tensor, Callable[[Tensor], Any]]:
    """Return a field of flat states, the flat state, and what brings answers (series, time, latent) back in shape."""
    if isinstance(z0, Tensor) and z0.dim() < 2:
        raise ValueError(f"z0 must be (series, ...) with at least two dimensions, not {tuple(z0.shape)}")
    if isinstance(z0, Tensor) and z0.dim() == 2:
        return field, z0, lambda z: z
    parts = z0 if isinstance(z0, tuple) else (z0,)
    if not parts or any(part.dim() == 0 or len(part) != len(parts[0]) for part in parts):
        shapes = ", ".join(str(tuple(part.shape)) for part in parts)
        raise ValueError(f"the parts of z0 must be (series, ...) for the same series, not {shapes}")
    if any(part.is_complex() for part in parts):
        raise TypeError("complex states are not supported: stack real and imaginary parts as two real dimensions")
    flat = Flattened(field, [part.shape[1:] for part in parts], is_tuple=isinstance(z0, tuple))
    return flat, torch.cat([part.flatten(1) if part.dim() > 1 else part.unsqueeze(1) for part in parts], 1), flat.unpack


class Flattened(nn.Module):
    """A field of a shaped state, or of a tuple of them, as a field of a flat one."""

    def __init__(self, field: Field, shapes: Sequence[torch.Size], *, is_tuple: bool) -> None:
        super().__init__()
        self.field = field
        self.shapes, self.is_tuple = shapes, is_tuple

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        """Yield the field's own parameters, as it tells them."""
        if isinstance(self.field, nn.Module):
            yield from self.field.parameters(recurse)

    def forward(self, t: Tensor, z: Tensor, *others: Tensor) -> Tensor:
        """Return dz/dt, (series, latent)."""
        state = self.unpack(z)
        if not self.is_tuple:
            t = t.view(-1, *[1] * len(self.shapes[0]))
        slope = self.field(t, state, *others)
        slopes = cast(Sequence[Tensor], slope if self.is_tuple else (slope,))
        self._check(slopes, len(z))
        return torch.cat([s.flatten(1) if s.dim() > 1 else s.unsqueeze(1) for s in slopes], 1)

    def unpack(self, flat: Tensor) -> Any:
        """Cut the last dimension into the parts of the state."""
        sizes = [shape.numel() for shape in self.shapes]
        parts = tuple(
            part.reshape((*flat.shape[:-1], *shape))
            for part, shape in zip(torch.split(flat, sizes, -1), self.shapes, strict=True)
        )
        return parts if self.is_tuple else parts[0]

    def _check(self, slopes: Sequence[Tensor], n_series: int) -> None:
        wanted = [(n_series, *shape) for shape in self.shapes]
        got = [tuple(s.shape) for s in slopes]
        if got != wanted:
            raise ValueError(f"field(t, z) must return tensors shaped like z, {wanted}, but returned {got}")
