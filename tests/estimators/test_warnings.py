import warnings

import pytest

from latentode.data import DataWarning
from latentode.estimators.warnings import no_data_warnings, warn_data


def test_all_sentences_are_one_warning_at_the_callers_line():
    with pytest.warns(DataWarning, match="first; second") as caught:
        warn_data(["first", "second"])
    assert len(caught) == 1
    assert caught[0].filename == __file__


def test_no_sentence_is_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_data([])


def test_within_the_block_there_is_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with no_data_warnings():
            warn_data(["first"])
        with pytest.raises(DataWarning, match="second"):
            warn_data(["second"])
