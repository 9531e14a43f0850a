import pytest
import torch

from latentode.nn.dynamics import MLPDynamics
from latentode.ode import METHODS, solve
from tests.ode.conftest import Hidden, swing


def field_and_start(n_series=5, dtype=torch.float64):
    return MLPDynamics(3, (8, 8), time_dependent=True).to(dtype), torch.randn(n_series, 3, dtype=dtype)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"z0": torch.ones(3)}, "at least two dimensions"),
        ({"times": torch.ones(2, 2)}, "3 series"),
        ({"n_steps": 0}, "at least 1"),
        ({"method": "leapfrog"}, "method must be one of"),
        ({"method": "kvaerno5", "jump_times": [0.5]}, "kvaerno5 evaluates the field beyond the end of a step"),
        ({"adjoint": "magic"}, "adjoint must be"),
        ({"t0": torch.zeros(2)}, "one per series"),
        ({"field": lambda t, z: z.sum()}, r"shaped like z, \(3, 2\), but returned shape \(\)"),
        ({"field": lambda t, z: 1.0}, r"shaped like z, \(3, 2\), but returned float"),
        ({"step_times": torch.ones(2, 1)}, r"^step_times must be .* for 3 series, not \(2, 1\)"),
        ({"jump_times": torch.ones(1, 1, 1)}, r"^jump_times must be .* not \(1, 1, 1\)"),
        ({"step_times": [0.5], "n_steps": (0.0, 0.5, 1.0)}, "^n_steps must be a number where there are jump or step"),
        ({"independent": True, "adjoint": "checkpointed"}, "^with independent=True use another adjoint than check"),
        ({"controller": "P"}, "^controller must be one of I, PI, PID, not 'P'"),
        ({"on_failure": "ignore"}, "^on_failure must be one of nan, raise, not 'ignore'"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(change, message):
    call = {"field": lambda t, z: -z, "z0": torch.ones(3, 2), "times": torch.ones(3, 1), **change}
    with pytest.raises(ValueError, match=message):
        solve(**call)


def test_steps_on_the_other_side_are_as_many_as_given_there():
    times = torch.tensor([[-1.0, 1.0]])
    for field in (field_and_start(dtype=torch.float32)[0], swing):
        z0 = torch.ones(1, 3)
        assert solve(field, z0, times, n_steps=3, n_steps_back=5).stats.steps == 8
        assert solve(field, z0, times, n_steps=3, n_steps_back=3).z.equal(solve(field, z0, times, n_steps=3).z)


def test_a_field_that_knows_its_derivatives_is_evaluated_on_both_sides_at_once_and_each_has_its_steps():
    field, z0 = field_and_start()
    times = torch.tensor([[-0.5, 0.8]], dtype=torch.float64).expand(5, 2)

    def evaluations(field, **options):
        solution = solve(field, z0, times, coarse=None, **options)
        assert torch.allclose(solution.z, solve(Hidden(field), z0, times, coarse=None, **options).z, atol=1e-14)
        return solution.stats.evaluations

    once = 1 + 4 * 6
    assert evaluations(field) == evaluations(field, adjoint="autograd") == once
    assert evaluations(field, n_steps=6, n_steps_back=2) == once + 1 + 4 * 2
    assert evaluations(field, adjoint="checkpointed") == evaluations(Hidden(field)) == 2 * once
    assert evaluations(field, step_times=[0.4]) == 2 * once


@pytest.mark.parametrize("adjoint", ["continuous", "backsolve"])
@pytest.mark.parametrize("method", [name for name, method in METHODS.items() if method.implicit])
def test_an_adjoint_that_solves_again_by_explicit_steps_is_refused_for_stiff_fields(adjoint, method):
    with pytest.raises(ValueError, match=f"with {method} use"):
        solve(lambda t, z: -z, torch.ones(1, 1), torch.ones(1, 1), method=method, adjoint=adjoint)
