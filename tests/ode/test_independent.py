import torch

from latentode.ode import solve


def swing(t, z, speed, begin):
    """Turn with a speed of one's own, except in a burst, which is much faster."""
    burst = torch.exp(-(((t - begin) / 0.05) ** 2))
    return torch.stack([z[:, 1], -z[:, 0]], 1) * (speed + 60.0 * speed.sign() * burst * (begin < 9))


def solved(speed, begin, **options):
    speed, begin = (torch.tensor(x, dtype=torch.float64).unsqueeze(1) for x in (speed, begin))
    z0 = torch.tensor([[1.0, 0.0]], dtype=torch.float64).expand(len(speed), -1)
    times = torch.linspace(0.05, 1.0, 9, dtype=torch.float64)
    return solve(swing, z0, times, t1=1.0, args=(speed, begin), method="tsit5", **options)


def exact(speed, begin):
    return solved(speed, begin, rtol=1e-11, atol=1e-12).z


def test_a_fast_series_among_255_easy_ones_has_the_error_it_has_alone_whoever_chooses_the_steps():
    speed, begin = [60.0] + [0.5] * 255, [9.0] * 256
    truth = exact(speed[:1], begin[:1])
    alone = (solved(speed[:1], begin[:1]).z - truth).abs().max()
    for independent in (False, True):
        among = (solved(speed, begin, independent=independent).z[:1] - truth).abs().max()
        assert among <= 1.01 * alone


def test_series_that_are_hard_at_different_times_take_fewer_evaluations_on_their_own_steps():
    speed, begin = [0.5] * 10, [0.05 + 0.1 * i for i in range(10)]
    fine = {"rtol": 1e-6, "atol": 1e-7}
    together, own = solved(speed, begin, **fine), solved(speed, begin, independent=True, **fine)
    assert own.stats.evaluations < 0.5 * together.stats.evaluations
    assert (own.z - exact(speed, begin)).abs().max() < 1e-4


def test_on_its_own_steps_a_series_takes_the_steps_it_takes_alone():
    speed, begin = [3.0, 40.0, 0.1], [9.0, 9.0, 0.5]
    together = solved(speed, begin, independent=True).z
    for i in range(3):
        assert torch.allclose(
            together[i : i + 1], solved(speed[i : i + 1], begin[i : i + 1], independent=True).z, atol=1e-12
        )
