import pytest
import torch

from latentode.ode import odeint, odeint_adjoint

GRIDS = ["euler", "rk4", "implicit_adams", "gl4", "trapezoid"]
ERRORS = ["adaptive_heun", "dopri5", "kvaerno3"]
NAMES = ("callback_step", "callback_accept_step", "callback_reject_step")


class Called(torch.nn.Module):
    def __init__(self, names):
        super().__init__()
        self.rate, self.calls = torch.nn.Parameter(torch.tensor(3.0, dtype=torch.float64)), {name: [] for name in names}
        for name, calls in self.calls.items():
            setattr(self, name, lambda t, y, step, calls=calls: calls.append((float(t), y, float(step))))

    def forward(self, t, y):
        return -self.rate * y * torch.where(t < 0.5, 1.0, 4.0)


def start():
    return torch.ones(2, dtype=torch.float64), torch.tensor([0.0, 1.0], dtype=torch.float64)


@pytest.mark.parametrize("method", GRIDS)
@pytest.mark.parametrize("backwards", [False, True])
def test_a_grid_calls_before_every_step_with_time_state_and_step(method, backwards):
    func, (y0, t) = Called(NAMES[:1]), start()
    t = t.flip(0) if backwards else t
    odeint(func, y0, t, method=method, options={"step_size": 0.25}, rtol=0.1, atol=0.1)
    times, states, steps = zip(*func.calls["callback_step"], strict=True)
    assert times == ((1.0, 0.75, 0.5, 0.25) if backwards else (0.0, 0.25, 0.5, 0.75))
    assert set(steps) == {0.25}
    assert torch.equal(states[0], y0)


@pytest.mark.parametrize("method", ERRORS)
def test_steps_by_error_are_accepted_or_rejected_and_lead_to_the_end(method):
    func, (y0, t) = Called(NAMES), start()
    odeint(func, y0, t, method=method, rtol=1e-4, atol=1e-5)
    tried, accepted, rejected = (func.calls[name] for name in NAMES)
    assert len(tried) == len(accepted) + len(rejected)
    assert rejected  # at the jump
    assert sum(step for *_, step in accepted) == pytest.approx(1.0)


@pytest.mark.parametrize("method", ["rk4", "dopri5"])
def test_adjoint_callbacks_are_called_in_the_backward_solve_with_the_augmented_state(method):
    func, (y0, t) = Called([f"{name}_adjoint" for name in (NAMES if method == "dopri5" else NAMES[:1])]), start()
    options = {} if method == "dopri5" else {"step_size": 0.1}
    y = odeint_adjoint(func, y0.requires_grad_(), t, method=method, rtol=1e-5, atol=1e-6, options=options)
    assert not any(func.calls.values())
    y.sum().backward()
    calls = func.calls["callback_step_adjoint"]
    assert [tuple(part.shape) for part in calls[0][1]] == [(), (2,), (2,), ()]
    assert calls[0][0] == 1.0
    assert len(calls) == 10 or method == "dopri5"


def test_a_callback_may_change_the_state_but_not_what_was_answered():
    y0, doses = start()[0], []

    class Dosed(torch.nn.Module):
        def forward(self, t, y):
            return torch.zeros_like(y)

        def callback_step(self, t, y, step):
            doses.append(float(t))
            y += 1.0

    y = odeint(Dosed(), y0, torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64), method="euler")
    assert y[:, 0].tolist() == [1.0, 2.0, 3.0]
    assert y0.tolist() == [1.0, 1.0]
    assert doses == [0.0, 0.5]


@pytest.mark.parametrize(("method", "name"), [("rk4", NAMES[1]), ("gl4", NAMES[2]), ("scipy_solver", NAMES[0])])
def test_a_callback_that_is_never_called_is_warned_of(method, name):
    func, (y0, t) = Called([name]), start()
    with pytest.warns(UserWarning, match=f"^{name} will never be called"):
        odeint(func, y0, t, method=method)
    assert not func.calls[name]
