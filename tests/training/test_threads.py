import concurrent.futures
import multiprocessing
import os

import pytest
import torch

from latentode.training import one_thread
from latentode.training.threads import fork_safe
from tests.training.overlapping import overlapping


def threads_of_a_new_thread():
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        return pool.submit(torch.get_num_threads).result()


@pytest.mark.usefixtures("two_threads")
def test_one_thread_is_for_the_block_and_for_its_thread_only():
    with one_thread():
        assert torch.get_num_threads() == 1
        assert threads_of_a_new_thread() == 2
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("two_threads")
def test_one_thread_is_over_when_the_first_in_is_the_first_out():
    _, while_the_second_is_in = overlapping(one_thread)
    assert while_the_second_is_in == 1
    assert torch.get_num_threads() == 2
    assert threads_of_a_new_thread() == 2


@pytest.mark.usefixtures("two_threads")
def test_the_number_of_threads_is_restored_after_an_exception():
    with pytest.raises(KeyError), one_thread():
        raise KeyError
    assert torch.get_num_threads() == 2
    assert threads_of_a_new_thread() == 2


@pytest.mark.usefixtures("two_threads")
def test_blocks_within_a_block_end_with_the_threads_of_the_outermost():
    with one_thread():
        with one_thread():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("two_threads")
def test_the_process_that_loaded_us_keeps_its_threads_and_a_fork_of_it_takes_one(monkeypatch):
    with fork_safe():
        assert torch.get_num_threads() == 2
    monkeypatch.setattr("latentode.training.threads._LOADED_IN", os.getpid() + 1)  # as a forked child sees it
    with fork_safe():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2


def _threads_in_the_block():
    with fork_safe():
        return torch.get_num_threads()


@pytest.mark.usefixtures("two_threads")
@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_forked_process_is_recognised():
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as pool:
        assert pool.submit(_threads_in_the_block).result(30) == 1
