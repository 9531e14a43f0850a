import numpy as np
import pytest
import torch

from latentode.training import TimeLimit, TrainingConfig, TrainingResult, train
from tests.training.small import score_of, small_model


def result_of(setting, **options):
    model = small_model()
    given = {"n_steps": 3, "steps_per_check": 1, "batch_size": 4, **options}
    return model, train(model, *setting, TrainingConfig(**given), np.random.default_rng(0))


def test_a_training_to_its_end_has_a_row_for_every_check_and_says_nothing_else(setting):
    _, result = result_of(setting)
    assert isinstance(result, TrainingResult)
    assert [row["step"] for row in result.history] == [1.0, 2.0, 3.0]
    assert {"step", "loss", "validation_crps", "learning_rate", "seconds"} <= set(result.history[0])
    assert result[1:] == (False, False, False)


def test_a_check_that_returns_true_stops_training(setting):
    _, result = result_of(setting, on_check=lambda _, history: len(history) == 2)
    assert len(result.history) == 2
    assert (result.stopped, result.interrupted, result.shortened) == (True, False, False)


def test_an_interrupt_is_reported_once_the_best_weights_are_in_place(setting):
    def interrupt(_, history):
        if len(history) == 2:
            raise KeyboardInterrupt

    model, result = result_of(setting, on_check=interrupt)
    assert (result.stopped, result.interrupted, result.shortened) == (False, True, False)
    scores = [row["validation_crps"] for row in result.history]
    assert score_of(model, setting[1]) == pytest.approx(min(scores), rel=1e-4)
    assert not model.training


def test_a_time_limit_that_is_over_shortens_training(setting):
    now = iter(np.arange(1e4))
    model, result = result_of(setting, n_steps=500, time_limit=TimeLimit(8.0, lambda: float(next(now))))
    assert result.shortened
    assert len(result.history) < 10
    assert all(torch.isfinite(p).all() for p in model.parameters())


def test_a_result_is_not_shortened_unless_said():
    assert TrainingResult([], interrupted=False, stopped=True) == ([], False, True, False)
