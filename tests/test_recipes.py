"""Every recipe parses with the real flags, and every spec in it exists."""

import json
import pathlib
import subprocess
import sys

import pytest

from anchor_tf import specs

ROOT = pathlib.Path(__file__).parent.parent
RECIPES = sorted((ROOT / "flags" / "recipes").glob("*.flags"))
STUDIES = sorted((ROOT / "flags" / "studies").glob("*.flags"))
CODE = """
import json, sys
from absl import flags
from anchor_tf import specs
from anchor_tf.flags import train
from anchor_tf.pipelines import augment, load
flags.FLAGS(["train", "--flagfile=" + sys.argv[1]])
values = train.values()
specs.check(specs.parse(values["method"]), "anchor_tf.methods", "method")
specs.check(specs.parse(values["backbone"]), "anchor_tf.backbones", "backbone")
specs.check_list(values["attacks"], "anchor_tf.attacks", "attack")
augment.check(values["augment"])
load.check(specs.parse(values["dataset"]))
assert "tensorflow" not in sys.modules
print(json.dumps(values))
"""

OF_STUDY = """
import json, sys
from absl import flags
from anchor_tf import specs
from anchor_tf.studies import entries
from anchor_tf.flags import study
from anchor_tf.pipelines import load
flags.FLAGS(["study", "--flagfile=" + sys.argv[1]])
values = study.values()
entries.check(specs.split(values["methods"]), study.parse)
specs.check_list(values["attacks"], "anchor_tf.attacks", "attack")
load.check(specs.parse(values["dataset"]))
print(json.dumps(values))
"""


def values(path, code=CODE):
    result = subprocess.run(
        [sys.executable, "-c", code, str(path)], cwd=ROOT, capture_output=True, check=False
    )
    assert result.returncode == 0, result.stderr.decode()
    return json.loads(result.stdout)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipe_parses(path):
    text = path.read_text()
    assert text.startswith("# ")
    assert f"--flagfile=flags/recipes/{path.name}" in text
    assert values(path)["method"]


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_study_parses(path):
    text = path.read_text()
    assert text.startswith("# ")
    assert f"anchor_tf.study --flagfile=flags/studies/{path.name}" in text
    assert f"--workdir=runs/{path.stem}\n" in text
    assert values(path, OF_STUDY)["methods"]


def test_there_is_a_recipe_for_each_promise():
    expected = {
        "anchor_mnist",
        "anchor_cifar10_slim",
        "margin_supcon_cifar100",
        "margin_supcon_svhn",
    }
    for method in specs.known("anchor_tf.methods"):
        expected.add(f"{method}_digits")
        if method != "clead":
            expected.add(f"{method}_cifar10")
    expected |= {f"clead_cifar10_resnet{depth}" for depth in (18, 34, 50)}
    assert expected <= {path.stem for path in RECIPES}


def test_digits_recipe_is_what_runs_without_flags():
    from anchor_tf.config import TrainConfig
    from anchor_tf.pipelines.sources.digits import digits

    recipe = values(ROOT / "flags" / "recipes" / "anchor_digits.flags")
    plain = {**recipe, **dict.fromkeys(("backbone", "epsilon", "epochs", "finetune_epochs"))}
    plain |= dict.fromkeys(
        ("batch_size", "learning_rate", "warmup_epochs", "ramp_epochs", "augment")
    )
    defaults = vars(digits().recipe)
    assert TrainConfig.resolve(recipe, defaults) == TrainConfig.resolve(plain, defaults)


def test_full_scale_recipe_is_the_field_s_setting():
    recipe = values(ROOT / "flags" / "recipes" / "anchor_cifar10.flags")
    assert recipe["backbone"] == "resnet(depth=18,width=64)"
    assert recipe["epsilon"] == [8 / 255]
    assert (recipe["attack_steps"], recipe["epochs"]) == (10, 200)
