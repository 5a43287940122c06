"""Work in a process of its own, which leaves this one's devices and memory untouched."""

import concurrent.futures
import multiprocessing
import os
import signal
from collections.abc import Callable
from typing import Any

from anchor_tf.terminal import command_line


def in_child(function: Callable, *arguments) -> Any:
    """What a function of TensorFlow returns that is called in a process without GPUs.

    TensorFlow keeps the devices and the memory that it has once taken: where it is asked something
    before a run begins, the run, or the runs of a study, would lack them.

    Args:
        function: of a module, so that another process can find it.
        *arguments: what it is called with; as its result, they must be picklable.
    """
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, context, initializer=_begin) as pool:
        try:
            return pool.submit(function, *arguments).result()
        except BaseException:
            for child in multiprocessing.active_children():
                child.terminate()
            raise


def _begin() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is told, and ends this process
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    command_line.import_tensorflow()
