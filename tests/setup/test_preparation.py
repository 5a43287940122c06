"""From flags to a configuration: what "auto" comes to."""

import pytest

from anchor_tf import config, specs
from anchor_tf.devices import onednn
from anchor_tf.pipelines import load
from anchor_tf.setup import preparation
from anchor_tf.workdir import Workdir
from tests.test_config import DATA, FLAGS


@pytest.fixture(scope="module")
def digits():
    spec = load.check(specs.parse("digits"))
    return spec, load.load(spec)


def complete(digits, **flags):
    devices = {"strategy": "one", "virtual_devices": None}
    return preparation.complete({**FLAGS, **devices, **flags}, *digits)


@pytest.mark.parametrize("fastest", ["float32", "bfloat16"])
def test_auto_is_what_the_processor_is_fastest_in(digits, monkeypatch, tmp_path, fastest):
    monkeypatch.setattr(onednn, "fastest_precision", lambda: fastest)
    for workdir in (None, str(tmp_path / "new")):
        assert complete(digits, precision="auto", workdir=workdir).precision == fastest
    for given in ("float32", "bfloat16", "float16"):
        assert complete(digits, precision=given).precision == given


@pytest.mark.parametrize("began", ["float32", "bfloat16"])
@pytest.mark.parametrize("fastest", ["float32", "bfloat16"])
def test_a_run_keeps_the_precision_that_it_began_with(
    digits, monkeypatch, tmp_path, began, fastest
):
    workdir = Workdir(tmp_path / "run")
    first = complete(digits, precision=began, workdir=str(workdir.path))
    workdir.begin(first, DATA)
    monkeypatch.setattr(onednn, "fastest_precision", lambda: fastest)
    again = complete(digits, precision="auto", workdir=str(workdir.path))
    assert workdir.adopt(again, {"precision"}) == first
    assert config.load(workdir.config)[0].precision == began
