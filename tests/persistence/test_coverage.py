from dataclasses import FrozenInstanceError, fields

import numpy as np
import pytest
from safetensors.numpy import load_file

from latentode import load
from latentode.persistence.coverage import LEAD_ENDS, NOMINAL, HeldOutCoverage
from tests.estimators.tiny import replace_arrays

NAMES = [field.name for field in fields(HeldOutCoverage)]


def test_levels_are_per_cent_and_ranges_of_lead_times_end_at_the_horizon():
    assert (np.diff(NOMINAL) > 0).all()
    assert 1 < NOMINAL.min() < NOMINAL.max() < 100
    assert (np.diff(LEAD_ENDS) > 0).all()
    assert (LEAD_ENDS[0], LEAD_ENDS[-1]) == (0.0, 1.0)


def test_a_fit_leaves_shares_and_counts_of_every_channel(saved):
    state = load(saved).state_
    found, n_channels = state.coverage, len(state.schema.target_cols)
    assert found.achieved.shape == found.standard_error.shape == (len(NOMINAL), len(LEAD_ENDS), n_channels)
    assert found.n_values.shape == found.n_series.shape == (len(LEAD_ENDS), n_channels)
    assert (found.n_series <= found.n_values).all()
    known = ~np.isnan(found.achieved)
    assert (known == (found.n_values > 0)).all()
    assert ((found.achieved[known] >= 0) & (found.achieved[known] <= 1)).all()
    assert np.isnan(found.standard_error[:, found.n_series < 2]).all()
    with pytest.raises(FrozenInstanceError):
        found.achieved = found.standard_error


def test_what_is_saved_is_loaded_bit_for_bit(saved, tmp_path):
    first = load(saved)
    first.save(tmp_path)
    for name in NAMES:
        ours, theirs = (getattr(model.state_.coverage, name) for model in (load(tmp_path), first))
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("name", NAMES)
def test_an_array_of_another_shape_is_refused_by_name(spoilt, name):
    arrays = load_file(spoilt / "weights.safetensors")
    arrays[f"coverage.{name}"] = np.ascontiguousarray(arrays[f"coverage.{name}"][..., :1, :])
    replace_arrays(spoilt, arrays)
    with pytest.raises(ValueError, match=rf"not a readable forecaster: .*coverage\.{name}"):
        load(spoilt)


def test_a_model_without_any_of_them_has_no_coverage_and_with_some_is_refused(spoilt):
    arrays = load_file(spoilt / "weights.safetensors")
    del arrays["coverage.n_series"]
    replace_arrays(spoilt, arrays)
    with pytest.raises(ValueError, match=r"not a readable forecaster: .*coverage\.n_series"):
        load(spoilt)
    replace_arrays(spoilt, {name: array for name, array in arrays.items() if not name.startswith("coverage.")})
    assert load(spoilt).state_.coverage is None
