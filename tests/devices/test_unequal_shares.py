"""A batch that the replicas cannot share equally comes to what it does on one device."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

pytestmark = pytest.mark.slow

ROOT = pathlib.Path(__file__).parent.parent.parent
EXTRAS = {"weight_perturbation": 0.01, "average_decay": 0.5, "weight_decay": 0.001}
QUICK = {
    "anchor": {
        "method": "anchor(views=3,clean_weight=1,divergence_weight=1)",
        "options": {**EXTRAS, "clip_norm": 1.0},
    }
}
NAMES = "ce trades mart fat supcon margin_supcon ae_supcon rocl clead"
ALL = {name: {"method": name} for name in NAMES.split()}
ALL["local"] = {"method": "ce", "options": {"batch_norm": "per_replica"}}


def both(tmp_path_factory, cases, fits):
    """What `unequal_shares` saved on one device and on two: by replicas and file."""
    found = {}
    for replicas in (1, 2):
        folder = tmp_path_factory.mktemp(f"unequal_{replicas}")
        command = [sys.executable, "-m", "tests.devices.unequal_shares"]
        command += [str(folder), str(replicas), json.dumps(cases), json.dumps(fits)]
        result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr[-3000:]
        for path in folder.glob("*.npz"):
            with np.load(path) as file:
                found[replicas, path.stem] = dict(file)
    return found


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    return both(tmp_path_factory, QUICK, ["anchor"])


@pytest.fixture(scope="module")
def every(tmp_path_factory):
    return both(tmp_path_factory, ALL, ["pgd_at", "clead"])


def assert_equal(one, two, tolerance=1e-5):
    """Equal to within rounding; the gradient's norm is another device's to know."""
    names = set(one) & set(two)
    assert {name for name in set(one) ^ set(two) if "gradient_norm" not in name} == set()
    for name in names:
        np.testing.assert_allclose(two[name], one[name], rtol=0, atol=tolerance, err_msg=name)


def test_steps_equal_one_device(quick):
    assert_equal(quick[1, "anchor"], quick[2, "anchor"])
    assert len(set(quick[1, "anchor"]["figure loss"])) == 4


def test_fit_and_evaluate_equal_one_device(quick):
    assert_equal(quick[1, "fit"], quick[2, "fit"])
    assert {"anchor val_top", "anchor val_robust_accuracy", "anchor accuracy"} <= {*quick[2, "fit"]}
    for replicas in (1, 2):
        fit = quick[replicas, "fit"]
        np.testing.assert_array_equal(fit["anchor evaluate 16"], fit["anchor evaluate 16 again"])


@pytest.mark.slow  # a minute for all of them
@pytest.mark.parametrize("name", [*ALL, "fit"])
def test_so_do_all_methods(every, name):
    one, two = every[1, name], every[2, name]
    if name == "local":  # each replica normalises its own rows: another loss, but a loss
        assert all(np.isfinite(values).all() for values in two.values())
        return
    # The margin's distance of two equal views is rounding's square root.
    assert_equal(one, two, 1e-3 if name == "margin_supcon" else 1e-5)
