import logging

from tests.estimators.tiny import quick, waves


def test_the_log_has_a_line_for_every_validation_check(caplog):
    with caplog.at_level(logging.INFO, logger="latentode"):
        quick(max_steps=50).fit(waves())
    lines = [r.getMessage() for r in caplog.records if r.name == "latentode"]
    assert len(lines) == 2
    assert lines[0].startswith("step 25 of at most 50: loss ")


def test_the_bar_has_losses_and_is_gone_at_the_end(capsys):
    quick(max_steps=50, verbose=2).fit(waves())
    reported = capsys.readouterr()
    assert "held-out CRPS" in reported.out + reported.err
    assert "50/50" in reported.err
