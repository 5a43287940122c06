"""`anchor_tf.train` on two devices and by two workers: it trains what one device would."""

import contextlib

import numpy as np
import pytest

from anchor_tf import plugins
from anchor_tf.checkpoints import checkpoint_file
from anchor_tf.workdir import Workdir
from tests.devices import whole_commands
from tests.devices.whole_commands import (
    check_equal_to_one_device,
    check_evaluated_and_exported,
    on_two_devices,
    on_two_workers,
)

QUICK = ["pgd_at", "anchor"]  # and ce, which is continued as well
OTHERS = sorted({*plugins.entries("anchor_tf.methods")} - {*QUICK, "ce"})
EVERY_EXTRA = (
    "--strategy=mirrored", "--ema_decay=0.9", "--awp=0.01", "--label_smoothing=0.1",
    "--clip_norm=1", "--select=best", "--on_divergence=skip", "--finetune=aff",
)  # fmt: skip


# TRADES begins its attack where the gradient is near zero: its signs follow the rounding, and only
# its first step is compared.


@pytest.mark.parametrize("method", QUICK)
def test_two_devices(tmp_path, method):
    on_two_devices(tmp_path / "two", f"--method={method}")
    check_equal_to_one_device(tmp_path / "two", tmp_path / "one", later=method != "trades")
    check_evaluated_and_exported(tmp_path / "two")


def test_two_workers(tmp_path):
    first, second = on_two_workers(tmp_path / "two", "--method=anchor")
    assert "replicas 2" in first
    assert second == ""
    check_equal_to_one_device(tmp_path / "two", tmp_path / "one")
    check_evaluated_and_exported(tmp_path / "two")


def test_a_run_of_two_devices_grows_longer_on_one(tmp_path):
    on_two_devices(tmp_path / "run", "--method=ce")
    check_equal_to_one_device(tmp_path / "run", tmp_path / "one")
    workdir, longer = Workdir(tmp_path / "run"), ["--method=ce", "--epochs=3"]
    with checkpoint_of_another_model(workdir):
        before = sorted(workdir.path.rglob("*"))
        refused = whole_commands.start(workdir.path, longer)
        output, _ = refused.communicate(timeout=500)
        assert refused.returncode == 2
        assert "belongs to another model" in output
        assert output.count("\n") == 1
        assert sorted(workdir.path.rglob("*")) == before
    (output,) = whole_commands.finish([whole_commands.start(workdir.path, longer)])
    assert "resumed: phase=train step=2\n" in output
    assert "train  epoch 3/3" in output
    assert (workdir.path / "before" / "epochs_2" / "report.json").exists()
    check_evaluated_and_exported(workdir.path)


@contextlib.contextmanager
def checkpoint_of_another_model(workdir):
    """Puts a whole checkpoint of other variables before a run's own, for a while."""
    newest = max((workdir.checkpoints / "train").glob("*.npz"))
    _, facts = checkpoint_file.read(newest)
    other = newest.with_name("000000009.npz")
    checkpoint_file.write(other, [np.zeros([3])], facts)
    yield
    other.unlink()


@pytest.mark.slow
@pytest.mark.parametrize("method", OTHERS)
def test_two_devices_with_every_other_method(tmp_path, method):
    test_two_devices(tmp_path, method)


@pytest.mark.slow
@pytest.mark.parametrize("method", sorted({*OTHERS, *QUICK, "ce"} - {"anchor"}))
def test_two_workers_with_every_other_method(tmp_path, method):
    on_two_workers(tmp_path / "two", f"--method={method}")
    check_equal_to_one_device(tmp_path / "two", tmp_path / "one", later=method != "trades")
    check_evaluated_and_exported(tmp_path / "two")


@pytest.mark.slow
@pytest.mark.parametrize("method", ["anchor", "trades"])
def test_two_devices_with_every_extra(tmp_path, method):
    on_two_devices(tmp_path / "two", f"--method={method}", *EVERY_EXTRA)
    check_equal_to_one_device(tmp_path / "two", tmp_path / "one", later=method != "trades")
    check_evaluated_and_exported(tmp_path / "two")


@pytest.mark.slow
def test_two_workers_with_every_extra(tmp_path):
    extras = [flag for flag in EVERY_EXTRA if flag != "--strategy=mirrored"]
    on_two_workers(tmp_path / "two", "--method=anchor", *extras)
    check_equal_to_one_device(tmp_path / "two", tmp_path / "one")
    check_evaluated_and_exported(tmp_path / "two")


@pytest.mark.slow
def test_statistics_per_replica(tmp_path):
    # In bfloat16, where the processor can convolve in it.
    options = ("--batch_norm=per_replica", "--precision=auto", "--projector_every=1")
    on_two_devices(tmp_path / "two", "--method=anchor", *options)
    check_evaluated_and_exported(tmp_path / "two")
