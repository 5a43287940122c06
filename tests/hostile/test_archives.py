"""Archives from anyone: whole, or refused in one line; nothing in them is unpickled.

The short version mutates 60 files; `HOSTILE=full` 500.
"""

import io
import os
import random
import shutil
import zipfile

import numpy as np
import pytest
from PIL import Image

from anchor_tf.errors import UserError
from anchor_tf.files import archives
from anchor_tf.pipelines.sources.folder import folder
from anchor_tf.pipelines.sources.npz import npz
from anchor_tf.studies.results import Result
from tests.hostile.mutations import mutate
from tests.hostile.refusals import refuse

MUTATIONS = 500 if os.environ.get("HOSTILE") == "full" else 60


@pytest.mark.parametrize("name", ["garbage", "pickled", "plain_pickle", "truncated"])
def test_archives_that_are_damaged_or_bring_objects(hostile, name):
    refuse(npz, path=str(hostile / f"{name}.npz"), named=f"{name}.npz")
    assert not list((hostile / "written").iterdir())


def test_mutated_archives_are_refused_or_whole(hostile, tmp_path):
    random_ = random.Random(6)
    whole = (hostile / "whole.npz").read_bytes()
    path = tmp_path / "mutated.npz"
    refused = 0
    for _ in range(MUTATIONS):
        path.write_bytes(mutate(random_, whole))
        try:
            npz(path=str(path))
        except UserError as error:
            refused += "mutated.npz" in str(error) and "\n" not in str(error)
    assert refused > MUTATIONS // 4


def header(shape) -> bytes:
    """An .npy file of no bytes whose header announces a shape."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        buffer, {"descr": "|u1", "fortran_order": False, "shape": shape}
    )
    return buffer.getvalue()


@pytest.mark.parametrize("shape", [(10**15, 8, 8), (2**62, 8, 8), (10**9, 8, 8), ()])
def test_headers_that_announce_too_much(hostile, tmp_path, shape):
    path = tmp_path / "large.npz"
    with zipfile.ZipFile(hostile / "whole.npz") as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            new.writestr(name, header(shape) if name == "x_test.npy" else old.read(name))
    refuse(npz, path=str(path), named="large.npz")


def test_an_archive_larger_than_the_memory(tmp_path, monkeypatch):
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("x_train.npy", bytes(10**7))
    archives.check(path, "an archive")
    monkeypatch.setattr(archives.os, "sysconf", {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 2000}.get)
    refuse(archives.check, path, "an archive", named="bomb.npz unpacks to")


def test_images_larger_than_the_memory(tmp_path, monkeypatch):
    for part in ("train/a", "train/b", "test/a", "test/b"):
        (tmp_path / part).mkdir(parents=True)
        for name in ("1.png", "2.png"):
            Image.new("L", (8, 8)).save(tmp_path / part / name)
    folder(path=str(tmp_path), image_size=32)
    monkeypatch.setattr(archives.os, "sysconf", {"SC_PAGE_SIZE": 1, "SC_PHYS_PAGES": 3000}.get)
    refuse(folder, path=str(tmp_path), image_size=32, named="see folder's image_size=")


def test_outcomes_that_are_damaged(hostile, tmp_path):
    for name in ("garbage", "pickled", "truncated"):
        shutil.copy(hostile / f"{name}.npz", tmp_path / "outcomes.npz")
        refuse(Result(0, tmp_path, {}, 1).outcomes, named="outcomes.npz")
    assert not list((hostile / "written").iterdir())
