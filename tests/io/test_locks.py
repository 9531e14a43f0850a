from latentode.io.locks import lock, unlock


def test_a_lock_is_held_once_and_is_free_again(tmp_path):
    place = tmp_path / "lock"
    held = lock(place)
    assert lock(place) is None
    unlock(place, held)
    assert not place.exists()
    again = lock(place)
    assert again is not None
    unlock(place, again)
