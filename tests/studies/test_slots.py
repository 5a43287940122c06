"""Runs at the same time share out cores and GPUs."""

import os
import pathlib

import pytest

from anchor_tf.studies import slots


@pytest.fixture
def eight_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)))
    monkeypatch.setattr(slots.shutil, "which", lambda name: None)
    monkeypatch.setattr(slots, "_DRIVER", pathlib.Path("/no/such/folder"))


def test_a_single_run_gets_everything(eight_cores):
    assert slots.environments(1, {"A": "b"}) == [{"A": "b"}]


@pytest.mark.parametrize(("jobs", "threads"), [(2, "4"), (3, "2"), (16, "1")])
def test_cores_are_shared(eight_cores, jobs, threads):
    found = slots.environments(jobs, {})
    shared = {"TF_NUM_INTRAOP_THREADS": threads, "TF_NUM_INTEROP_THREADS": threads}
    assert found == [shared] * jobs


def test_threads_that_are_set_stay(eight_cores):
    assert slots.environments(2, {"TF_NUM_INTRAOP_THREADS": "3"})[1] == {
        "TF_NUM_INTRAOP_THREADS": "3",
        "TF_NUM_INTEROP_THREADS": "4",
    }


@pytest.mark.parametrize(
    ("visible", "jobs", "expected"),
    [
        ("0,1,2,3", 2, ["0,2", "1,3"]),
        ("2,5", 2, ["2", "5"]),
        ("0,1,2,3,4,5,6,7", 3, ["0,3", "1,4", "2,5"]),
        ("4, 6", 3, ["4", "6", "4"]),
        ("-1", 2, ["-1", "-1"]),
        ("", 2, ["", ""]),
    ],
)
def test_gpus_are_shared(eight_cores, visible, jobs, expected):
    found = slots.environments(jobs, {"CUDA_VISIBLE_DEVICES": visible})
    assert [each["CUDA_VISIBLE_DEVICES"] for each in found] == expected
    grows = visible == "4, 6"
    assert all(
        each.get("TF_FORCE_GPU_ALLOW_GROWTH") == ("true" if grows else None) for each in found
    )


def test_gpus_are_counted_without_nvidia_smi(eight_cores, monkeypatch, tmp_path):
    monkeypatch.setattr(slots, "_DRIVER", tmp_path)
    for address in ("0000:0a:00.0", "0000:0b:00.0"):
        (tmp_path / address).mkdir()
    found = slots.environments(2, {})
    assert [each["CUDA_VISIBLE_DEVICES"] for each in found] == ["0", "1"]


def test_gpus_are_counted_where_none_are_named(eight_cores, monkeypatch):
    listing = "GPU 0: one (UUID: a)\nGPU 1: two (UUID: b)\n"
    monkeypatch.setattr(slots.shutil, "which", lambda name: f"/bin/{name}")
    monkeypatch.setattr(
        slots.subprocess, "run", lambda *a, **k: type("Listing", (), {"stdout": listing})
    )
    found = slots.environments(2, {})
    assert [each["CUDA_VISIBLE_DEVICES"] for each in found] == ["0", "1"]
