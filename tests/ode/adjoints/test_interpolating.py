import pytest

from tests.ode.adjoints.cases import Case


@pytest.fixture
def case():
    return Case()


def furthest(ours, theirs):
    return max(
        float((a - b).abs().max() / b.abs().max().clamp_min(1.0)) for a, b in zip(ours[1], theirs[1], strict=True)
    )


def test_the_equation_of_the_continuous_adjoint_is_solved_to_the_fourth_order_in_steps_as_short_as_its_method_wants(
    case,
):
    field = case.field()
    exact = case.gradients(field, method="dopri8", n_steps=16)

    def error(method, n_steps):
        return furthest(case.gradients(field, adjoint="continuous", method=method, n_steps=n_steps), exact)

    assert error("tsit5", 4) > 60 * error("tsit5", 16)
    assert error("rk4", 4) > 4 * error("tsit5", 4)
    assert error("tsit5", 4) > 2 * error("dopri8", 4)
