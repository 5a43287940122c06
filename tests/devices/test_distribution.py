"""Which devices a run takes, as far as a machine without GPUs can tell."""

import pytest
import tensorflow as tf

from anchor_tf.devices import distribution
from anchor_tf.errors import UserError


@pytest.fixture
def two_gpus(monkeypatch):
    """TensorFlow says that there are two."""
    listed = {"GPU": ["/GPU:0", "/GPU:1"], "CPU": ["/CPU:0"]}
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: listed[kind])


def test_xla_compiles_for_gpus_alone(two_gpus):
    assert distribution.place("one").xla
    assert not distribution.place("one", xla="off").xla
    assert not distribution.place("one", virtual_devices=2).xla  # of the CPU


def test_where_xla_cannot_compile(monkeypatch, capsys):
    def fail(*_, **options):
        raise tf.errors.InternalError(None, None, "libdevice not found\nand more")

    monkeypatch.setattr(tf, "function", fail)
    assert not distribution.uses_xla("auto", on_gpus=True)
    assert "(libdevice not found)" in capsys.readouterr().out
    assert not distribution.uses_xla("off", on_gpus=True)
    assert capsys.readouterr().out == ""
    with pytest.raises(UserError, match=r"--xla=on: .*libdevice not found"):
        distribution.uses_xla("on", on_gpus=False)


def test_one_device_is_not_mirrored():
    strategy = distribution.place("mirrored").strategy
    assert not isinstance(strategy, tf.distribute.MirroredStrategy)


def test_a_gpu_that_tensorflow_does_not_find_is_told(monkeypatch, tmp_path, capsys):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(distribution, "_DRIVER", tmp_path / "version")
    distribution.place("one")
    assert capsys.readouterr().out == ""
    (tmp_path / "version").touch()
    distribution.place("one")
    told = capsys.readouterr().out
    assert told.startswith("warning: there is an NVIDIA driver")
    assert told.count("\n") == 1
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    distribution.place("one")
    assert capsys.readouterr().out == ""
