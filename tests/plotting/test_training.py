from latentode.plotting import plot_training
from tests.estimators import tiny


def test_training_shows_the_best_check(small_model):
    ax = plot_training(small_model)
    x, y = ax.lines[1].get_data()
    first = small_model.history_[small_model.history_["model"] == 0]
    assert (x[0], y[0]) == tuple(first.loc[first["validation_crps"].idxmin(), ["step", "validation_crps"]])


def test_training_shows_every_model_and_names_what_it_shows_once():
    with tiny.checks_every(4):
        forecaster = tiny.quick(n_models=2, max_steps=10).fit(tiny.waves(6, 8))
    ax = plot_training(forecaster)
    curves = [line for line in ax.lines if line.get_label() == "held-out CRPS"]
    for number, curve in enumerate(curves):
        rows = forecaster.history_[forecaster.history_["model"] == number]
        assert curve.get_xydata().tolist() == rows[["step", "validation_crps"]].to_numpy().tolist()
    assert len(curves) == 2
    names = [text.get_text() for text in ax.figure.legends[0].get_texts()]
    assert len(names) == len(set(names))
