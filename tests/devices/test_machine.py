"""What a report says of the machine."""

import os

import pytest

from anchor_tf.devices import machine

CORES = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("text", "threads"), [("1", 1), ("3", 3), ("0", CORES), ("many", CORES), (None, CORES)]
)
def test_threads_are_those_of_the_environment(monkeypatch, text, threads):
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    if text is not None:
        monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", text)
    found = machine.describe()
    assert (found["threads"], found["cores"]) == (threads, CORES)
    assert found["processor"]
    assert isinstance(found["gpus"], list)
    assert found["gpus"] or not found["tensor_float_32"]


def test_its_name_is_that_of_what_computes(monkeypatch):
    assert machine.name() == machine.describe()["processor"]
    gpus = {"gpus": ["H100", "H100", "T4"], "processor": "a CPU"}
    monkeypatch.setattr(machine, "describe", lambda: gpus)
    assert machine.name() == "2 x H100, 1 x T4"
