"""What torchdiffeq's own tests check, with its functions or with ours: how many checks pass.

    python tests/benchmarks/ode/torchdiffeq_suite.py [--of torchdiffeq] [--only KIND]

The kinds, problems and tolerances are those of its tests (api, event, gradient, norm and odeint tests); each line
printed is a check that fails. The checks are the user's view: nothing private is read.
"""

import argparse
import itertools
import math
import time
import warnings
from collections import Counter
from functools import partial

import torch

GRIDS = ("euler", "midpoint", "heun2", "heun3", "rk4", "explicit_adams", "implicit_adams")
IMPLICIT = (
    "implicit_euler",
    "implicit_midpoint",
    "trapezoid",
    "radauIIA3",
    "gl4",
    "radauIIA5",
    "gl6",
    "sdirk2",
    "trbdf2",
)
ERRORS = ("adaptive_heun", "fehlberg2", "bosh3", "dopri5", "dopri8")
METHODS = (*GRIDS, *IMPLICIT, *ERRORS, "scipy_solver")
DTYPES = (torch.float32, torch.float64, torch.complex64)
SOLVERS = ("RK45", "RK23", "DOP853", "Radau", "BDF", "LSODA")


class Constant(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = (torch.nn.Parameter(torch.tensor(x)) for x in (0.2, 3.0))

    def forward(self, t, y):
        return self.a + (y - (self.a * t + self.b)) ** 5

    def exact(self, t):
        return self.a * t + self.b


class Sine(torch.nn.Module):
    def forward(self, t, y):
        return 2 * y / t + t**4 * torch.sin(2 * t) - t**2 + 4 * t**3

    def exact(self, t):
        sine, cosine = torch.sin(2 * t), torch.cos(2 * t)
        polynomial = -(t**3) + 2 * t**4 + (math.pi - 0.25) * t**2
        return -0.5 * t**4 * cosine + 0.5 * t**3 * sine + 0.25 * t**2 * cosine + polynomial


class Linear(torch.nn.Module):
    def __init__(self, n=10):
        super().__init__()
        part = 0.1 * torch.randn(n, n)
        self.matrix, self.evaluations = torch.nn.Parameter(part - part.T), 0

    def forward(self, t, y):
        self.evaluations += 1
        return self.matrix @ y

    def exact(self, t):
        start = torch.ones(len(self.matrix), dtype=self.matrix.dtype)
        return torch.stack([torch.linalg.matrix_exp(self.matrix * s) @ start for s in t])


PROBLEMS = {"constant": Constant, "linear": Linear, "sine": Sine}


def problem(name, dtype, *, backwards=False):
    torch.manual_seed(0)
    func = PROBLEMS[name]().to(dtype)
    t = torch.linspace(1, 8, 10, dtype=dtype.to_real())
    t = (t.flip(0) if backwards else t).requires_grad_()
    exact = func.exact(t).detach().to(dtype)
    return func, exact[0].clone().requires_grad_(), t, exact


def close(ours, exact, tolerance):
    error = float(((ours.detach() - exact) / exact).abs().max())
    return None if error < tolerance else f"relative error {error:.1e}"


def values(of, backwards, dtype, method, name):
    func, y0, t, exact = problem(name, dtype, backwards=backwards)
    exacting = {torch.float64: (1e-12, 1e-14)}.get(dtype, (1e-7, 1e-7))
    given = dict(zip(("rtol", "atol"), exacting, strict=True)) if method == "dopri8" else {}
    tolerance = 4e-3 if method in ("adaptive_heun", "bosh3") else 2e-3 if name == "linear" else 3e-4
    return close(of.odeint(func, y0, t, method=method, **given), exact, tolerance)


def adjoint_values(of, backwards, dtype, name):
    func, y0, t, exact = problem(name, dtype, backwards=backwards)
    return close(of.odeint_adjoint(func, y0, t), exact, 2e-3 if name == "linear" else 1e-4)


def scipy_values(of, backwards, dtype, solver, name):
    func, y0, t, exact = problem(name, dtype, backwards=backwards)
    return close(of.odeint(func, y0, t, method="scipy_solver", options={"solver": solver}), exact, 1e-3)


def one_time(of, backwards, dtype, method, name):
    func, y0, t, exact = problem(name, dtype, backwards=backwards)
    return close(of.odeint(func, y0, t[:1], method=method), exact[:1], 1e-12)


def tuples(of, dtype, method):
    func, y0, t, exact = problem("constant", dtype)
    both = of.odeint(lambda t, y: (func(t, y[0]), func(t, y[1])), (y0, y0), t, method=method)
    return close(both[0], exact, 1e-4) or close(both[1], exact, 1e-4)


def gradients(of, method, tupled):
    func, y0, t, _ = problem("constant", torch.float64)

    def solved(y0, t):
        if not tupled:
            return of.odeint(func, y0, t, method=method)
        return of.odeint(lambda t, y: (func(t, y[0]), func(t, y[1])), (y0, y0), t, method=method)[1]

    return None if torch.autograd.gradcheck(solved, (y0, t)) else "gradcheck"


class Cubic(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.matrix = torch.nn.Parameter(torch.tensor([[-0.1, 2.0], [-2.0, -0.1]], dtype=torch.float64))

    def forward(self, t, y):
        return y**3 @ self.matrix


def adjoint_gradients(of, method):
    both = []
    for face, by in ((of.odeint_adjoint, method), (of.odeint, "dopri5")):
        torch.manual_seed(0)
        func, y0 = Cubic(), torch.tensor([[2.0, 0.0]], dtype=torch.float64, requires_grad=True)
        grid = method != "dopri5" and by == method
        t = torch.linspace(0, 5 if grid or method != "dopri5" else 25, 10).double().requires_grad_()
        y = face(func, y0, t, method=by, **({"options": {"step_size": 0.01}} if grid else {}))
        both.append(torch.autograd.grad((0.1 * torch.rand_like(y) * y).sum(), [y0, t, func.matrix]))
    off = [float((a - b).abs().max()) for a, b in zip(*both, strict=True)]
    return None if all(x < most for x, most in zip(off, (5e-2, 5e-4, 2e-2), strict=True)) else f"off by {off}"


def events(of, backwards, dtype, method, name, face="odeint"):
    func, y0, t, exact = problem(name, dtype, backwards=backwards)
    goal = exact[2]
    options = {"step_size": 0.01, "interp": "cubic"} if method in (*GRIDS, *IMPLICIT) else {}
    event_fn = lambda t, y: (y - goal).real.sum()  # noqa: E731
    at, y = getattr(of, face)(func, y0, t[:2], event_fn=event_fn, method=method, options=options)
    if face == "odeint_adjoint":
        (at + y[-1].real.sum()).backward()
    tolerance = 7e-2 if method == "explicit_adams" else 5e-3 if "euler" in method else 1e-4
    return close(y[-1], goal, tolerance) or close(at, t[2].detach(), tolerance)


def jumps(of, adjoint, dtype, method):
    counts = []
    for options in ({}, {"jump_t": torch.tensor([0.5])}):
        count = itertools.count()
        func = lambda t, y, n=count: next(n) * 0 + (-0.5 * y if t < 0.5 else y**2)  # noqa: E731
        y0 = torch.tensor([1.0, 2.0], dtype=dtype, requires_grad=True)
        face = partial(of.odeint_adjoint, adjoint_params=()) if adjoint else of.odeint
        face(func, y0, torch.tensor([0.0, 0.4 + 0.1]) * 2, rtol=1e-6 if options else 1e-7, atol=1e-6, method=method,
             options=options or None)  # fmt: skip
        counts.append(next(count))
    return None if counts[1] < counts[0] else f"evaluations {counts}"


def perturbed(of, adjoint, dtype, method, perturb):
    seen = []
    func = lambda t, y: seen.append(t.item()) or -y  # noqa: E731
    face = partial(of.odeint_adjoint, adjoint_params=()) if adjoint else of.odeint
    face(func, torch.tensor([1.0, 2.0], dtype=dtype, requires_grad=True), torch.tensor([0.0, 1.0]), method=method,
         options={"step_size": 0.5, "perturb": perturb})  # fmt: skip
    return None if all((x in seen) != perturb for x in (0.0, 0.5)) else f"evaluated at {sorted(set(seen))}"


def grid_constructors(of, adjoint):
    y0, t = torch.tensor(1.0, requires_grad=True), torch.tensor([0.0, 1.0])
    face = partial(of.odeint_adjoint, adjoint_params=()) if adjoint else of.odeint
    constructor = lambda func, y0, t: torch.linspace(float(t[0]), float(t[1]), 11)  # noqa: E731
    y = face(lambda t, y: y, y0, t, method="euler", options={"grid_constructor": constructor})[1]
    (slope,) = torch.autograd.grad(y, y0)
    return close(torch.stack([y, slope]), torch.full((2,), 1.1**10), 1e-6)


def step_limits(of, least, most, method):
    func, y0, t, _ = problem("linear", torch.float64)
    options = {"min_step": least, "max_step": most, **({"solver": "LSODA"} if method == "scipy_solver" else {})}
    of.odeint(func, y0, t, method=method, options=options)
    n = func.evaluations
    return None if (n < 50 if least else n > 100) else f"{n} evaluations"


class Network(torch.nn.Module):
    def __init__(self, width):
        super().__init__()
        torch.manual_seed(1)
        layers = torch.nn.Linear(2, width), torch.nn.Tanh(), torch.nn.Linear(width, 2), torch.nn.Tanh()
        self.layers, self.evaluations, self.rate = torch.nn.Sequential(*layers), 0, 0.0

    def forward(self, t, y):
        self.evaluations += 1
        return self.layers(y) * torch.cos(self.rate * t)


def callbacks(of, method, side):
    func, counts = Network(10), Counter()
    names = ("callback_step", *(("callback_accept_step", "callback_reject_step") if method in ERRORS else ()))
    for name in names:
        setattr(func, name + side, lambda t, y, step, name=name: counts.update([name]))
    options = {} if method in ERRORS else {"step_size": 0.1}
    y = of.odeint_adjoint(func, torch.tensor([1.0, 2.0]), torch.tensor([0.0, 1.0]), method=method, options=options,
                          rtol=1e-4, atol=1e-5)  # fmt: skip
    y.sum().backward()
    steps = counts["callback_step"]
    right = steps == counts["callback_accept_step"] + counts["callback_reject_step"] if len(names) > 1 else steps == 10
    return None if steps and right else f"called {dict(counts)}"


def useless_callbacks(of, method, name):
    func = Network(10)
    setattr(func, name, print)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        of.odeint(func, torch.tensor([1.0, 2.0]), torch.tensor([0.0, 1.0]), method=method)
    return None if any(name in str(w.message) for w in caught) else "no warning"


def norms(of, face, tupled):
    got = []
    state = (torch.tensor(1.0), torch.full((2, 2), 0.5)) if tupled else torch.tensor(1.0)
    parameter = torch.rand(7, requires_grad=True)

    def norm(parts):
        got.append([tuple(p.shape) for p in parts] if isinstance(parts, tuple) else tuple(parts.shape))
        return max(p.abs().max() for p in (parts if isinstance(parts, tuple) else (parts,)))

    t, expected = torch.tensor([0.0, 1.0]), [(), (2, 2)] if tupled else ()
    if face == "odeint":
        of.odeint(lambda t, y: y, state, t, options={"norm": norm})
    else:
        y = of.odeint_adjoint(lambda t, y: y, state, t, adjoint_params=(parameter,), adjoint_options={"norm": norm})
        (y[0] if tupled else y).sum().backward()
        expected = [(), *([(), (2, 2)] * 2 if tupled else [(), ()]), (7,)]
    return None if got and all(each == expected for each in got) else f"the norm got {got[:1]}"


def larger_norms(of, dtype, method):
    counts = []
    for factor in (1.0, 10.0):
        func = Network(10).to(dtype)
        func.rate = 20.0
        y0, t = torch.tensor([1.0, 2.0], dtype=dtype), torch.tensor([0.0, 1.0])
        of.odeint(func, y0, t, method=method, options={"norm": lambda s, f=factor: f * s.abs().max()})
        counts.append(func.evaluations)
    return None if counts[0] <= counts[1] else f"evaluations {counts}"


def seminorms(of, dtype, method):
    counts = []
    for options in ({}, {"adjoint_options": {"norm": "seminorm"}}):
        func = Network(64).to(dtype)
        func.rate = 20.0
        y0, t = torch.tensor([1.0, 2.0], dtype=dtype), torch.tensor([0.0, 1.0])
        y = of.odeint_adjoint(func, y0, t, atol=1e-6, rtol=1e-5, method=method, **options)
        func.evaluations = 0
        y.sum().backward()
        counts.append(func.evaluations)
    return None if counts[1] <= counts[0] else f"evaluations {counts}"


WAYS, REAL, ADJOINT = (False, True), DTYPES[:2], (False, True)
USELESS = [(m, c) for m in (*GRIDS, *IMPLICIT) for c in ("callback_accept_step", "callback_reject_step")]
KINDS = {
    values: [
        (back, dtype, method, name)
        for back, dtype, method in itertools.product(WAYS, DTYPES, METHODS)
        for name in (PROBLEMS if method in ERRORS else ("constant",))
        if not (method == "scipy_solver" and dtype.is_complex)
    ],
    adjoint_values: itertools.product(WAYS, DTYPES, PROBLEMS),
    scipy_values: itertools.product(WAYS, REAL, SOLVERS, PROBLEMS),
    one_time: itertools.product(WAYS, DTYPES, METHODS, PROBLEMS),
    tuples: itertools.product(REAL, (*ERRORS, "scipy_solver")),
    gradients: [*itertools.product((*GRIDS, *IMPLICIT, *ERRORS), WAYS)],
    adjoint_gradients: [("dopri5",), ("implicit_adams",), ("rk4",)],
    events: [
        *itertools.product(WAYS, REAL, METHODS[:-1], ("constant", "sine")),
        (False, torch.float64, "dopri5", "constant", "odeint_adjoint"),
    ],
    jumps: itertools.product(ADJOINT, REAL, ERRORS[:-1]),
    perturbed: itertools.product(ADJOINT, REAL, (*GRIDS, *IMPLICIT), WAYS),
    grid_constructors: [(False,), (True,)],
    step_limits: itertools.product((0, 2), (float("inf"), 5), ("dopri5", "scipy_solver")),
    callbacks: itertools.product((*GRIDS, *IMPLICIT, *ERRORS[:-1]), ("", "_adjoint")),
    useless_callbacks: [*USELESS, ("scipy_solver", "callback_step")],
    norms: itertools.product(("odeint", "odeint_adjoint"), WAYS),
    larger_norms: itertools.product(REAL, ERRORS[:-1]),
    seminorms: itertools.product(REAL, ERRORS[1:-1]),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--of", choices=("latentode.ode", "torchdiffeq"), default="latentode.ode")
    parser.add_argument("--only", choices=[kind.__name__ for kind in KINDS])
    given = parser.parse_args()
    of, began, totals = __import__(given.of, fromlist=["odeint"]), time.perf_counter(), Counter()
    warnings.simplefilter("ignore")
    for kind, cases in KINDS.items():
        if given.only not in (None, kind.__name__):
            continue
        counts = Counter()
        for case in cases:
            try:
                fault = kind(of, *case)
            except Exception as error:  # any error is a check that fails
                fault = f"{type(error).__name__}: {str(error)[:90]}".replace("\n", " ")
            counts["failed" if fault else "passed"] += 1
            if fault:
                print(f"  {kind.__name__}{case}: {fault}", flush=True)
        print(f"{kind.__name__}: {counts['passed']} of {counts.total()} pass", flush=True)
        totals += counts
    print(f"{given.of}: {totals['passed']} of {totals.total()} pass, in {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
