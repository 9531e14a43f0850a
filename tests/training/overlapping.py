"""Blocks of a context manager that overlap in two threads."""

import concurrent.futures
import logging
import threading

import torch


def overlapping(manager):
    """Two threads in blocks of a context manager: the first in is the first out."""
    first_in, second_in, first_out = threading.Event(), threading.Event(), threading.Event()

    def first():
        with manager():
            first_in.set()
            second_in.wait(10)
        first_out.set()

    def second():
        first_in.wait(10)
        with manager():
            second_in.set()
            first_out.wait(10)
            return seen()

    def seen():
        return logging.getLogger("lightning.pytorch").level, torch.get_num_threads()

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        one, other = pool.submit(first), pool.submit(second)
        one.result(10)
        return other.result(10)
