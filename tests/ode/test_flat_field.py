import pytest
import torch

from latentode.ode import solve


def test_states_of_any_shape_are_solved_as_flat_ones_are():
    times = torch.rand(3, 4, dtype=torch.float64)
    z0 = (torch.randn(3, 2, 2, dtype=torch.float64), torch.randn(3, dtype=torch.float64))

    def field(t, z):
        matrix, number = z
        assert t.shape == (3, 1)
        return -matrix * number.view(-1, 1, 1), torch.cos(t).squeeze(1) * matrix.sum((1, 2))

    def flat(t, z):
        return torch.cat([-z[:, :4] * z[:, 4:], torch.cos(t) * z[:, :4].sum(1, keepdim=True)], 1)

    matrix, number = solve(field, z0, times, n_steps=5, coarse=None).z
    z = solve(flat, torch.cat([z0[0].flatten(1), z0[1].unsqueeze(1)], 1), times, n_steps=5, coarse=None).z
    assert matrix.shape == (3, 4, 2, 2)
    assert torch.allclose(matrix.flatten(2), z[..., :4])
    assert torch.allclose(number, z[..., 4])
    rate = torch.tensor([[1.0], [2.0], [3.0]], dtype=torch.float64)
    growing = solve(lambda t, z, rate: (rate.unsqueeze(-1) * z[0],), z0[:1], times, args=(rate,), n_steps=20).z[0]
    assert torch.allclose(growing, z0[0].unsqueeze(1) * torch.exp(rate * times).view(3, 4, 1, 1), rtol=1e-4)
    halves = (z0[0].flatten(1)[:, :2], z0[0].flatten(1)[:, 2:], z0[1].unsqueeze(1))

    def of_rows(t, z):
        return -z[0] * z[2], -z[1] * z[2], torch.cos(t) * (z[0] + z[1]).sum(1, keepdim=True)

    assert torch.allclose(torch.cat(solve(of_rows, halves, times, n_steps=5, coarse=None).z, 2), z)
    with pytest.raises(ValueError, match="same series"):
        solve(field, (torch.ones(3, 2), torch.ones(2)), times)


def test_a_state_that_is_no_dense_tensor_is_refused():
    for z0, got in (([[1.0]], "list"), (torch.eye(2).to_sparse(), "sparse_coo"), ((torch.ones(2), 1.0), "float")):
        with pytest.raises(TypeError, match=f"dense tensor.*{got}"):
            solve(lambda t, z: z, z0, torch.ones(1))
    with pytest.raises(ValueError, match=r"no numbers to solve for: its shape is \(2, 0\)"):
        solve(lambda t, z: z, torch.ones(2, 0), torch.ones(1))
