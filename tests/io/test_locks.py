import errno
import threading
import time

import pytest

from latentode.io import locks
from latentode.io.locks import alone, lock, unlock


def test_a_lock_is_held_once_and_is_free_again(tmp_path):
    place = tmp_path / "lock"
    held = lock(place)
    assert lock(place) is None
    unlock(place, held)
    assert not place.exists()
    again = lock(place)
    assert again is not None
    unlock(place, again)


def test_a_block_waits_until_it_is_alone(tmp_path):
    within, most = [], []

    def work():
        with alone(tmp_path / "lock"):
            within.append(1)
            most.append(len(within))
            time.sleep(0.02)
            within.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1, 1, 1, 1]
    assert list(tmp_path.iterdir()) == []


def test_where_there_are_no_locks_the_block_runs_without_one_and_other_errors_are_raised(tmp_path, monkeypatch):
    def failing(number):
        def attempt(_):
            raise OSError(number, "no")

        return attempt

    monkeypatch.setattr(locks, "_try_lock", failing(errno.ENOLCK))
    with alone(tmp_path / "lock"):
        pass
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(locks, "_try_lock", failing(errno.EIO))
    with pytest.raises(OSError, match="no"), alone(tmp_path / "lock"):
        pass
