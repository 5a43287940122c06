"""Ranges of spec arguments are checked on the source text, as the plug-ins check them."""

import ast
import subprocess
import sys

import pytest

from anchor_tf import argument_checks, specs
from anchor_tf.errors import UserError

OUT_OF_RANGE = {
    "anchor_tf.attacks": [
        "pgd(steps=0)",
        "pgd(step_size=0)",
        "bim(steps=0)",
        "cw(kappa=-1)",
        "mim(decay=-1)",
        "transfer(model=x,steps=0)",
        "cw_l2(kappa=-1)",
        "apgd(restarts=0)",
        "fab(beta=2)",
        "square(initial_fraction=0)",
    ],
    "anchor_tf.methods": [
        "anchor(temperature=0)",
        "trades(beta=-1)",
        "mart(beta=-1)",
        "clead(probe_learning_rate=0)",
        "rocl(regularization=-1)",
        "rocl(temperature=0)",
        "margin_supcon(margin=3)",
        "supcon(temperature=0)",
        "ae_supcon(temperature=0)",
    ],
    "anchor_tf.backbones": ["small(width=0)", "resnet(width=0)", "wide_resnet(depth=29)"],
    "anchor_tf.pipelines.augmentations": [
        "crop(padding=-1)",
        "cutout(size=0)",
        "color_jitter(hue=1)",
        "rand_augment(magnitude=2)",
        "resized_crop(smallest=0)",
    ],
    "anchor_tf.pipelines.sources": ["folder(path=x,image_size=0)"],
}
CASES = [(family, text) for family, texts in OUT_OF_RANGE.items() for text in texts]


@pytest.mark.parametrize(("family", "text"), CASES)
def test_a_value_out_of_range_is_refused_by_name(family, text):
    with pytest.raises(UserError) as error:
        specs.check(specs.parse(text), family, "plug-in")
    name, _, rest = text.partition("(")
    assert name in str(error.value)
    assert rest.rpartition("=")[0].rpartition(",")[2] in str(error.value)


def test_defaults_of_all_plugins_are_in_range():
    required = {"folder": "(path=x)", "npz": "(path=x)", "tfds": "(name=x)"}
    required |= {"keras_applications": "(name=ResNet50)", "transfer": "(model=x)"}
    for family in OUT_OF_RANGE:
        for name in specs.known(family):
            specs.check(specs.parse(name + required.get(name, "")), family, "plug-in")


def test_nothing_of_it_imports_tensorflow():
    code = (
        "import sys\nfrom anchor_tf import specs\n"
        f"for family, text in {CASES!r}:\n"
        "    try:\n        specs.check(specs.parse(text), family, 'x')\n"
        "    except specs.UserError:\n        continue\n"
        "    sys.exit(text)\n"
        "sys.exit('tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def refusal(source, **arguments):
    return argument_checks.refusal(ast.parse(source).body, arguments)


def test_what_reads_anything_else_is_left_to_the_function():
    assert refusal('def f(x, *, a=1):\n if a < x.size:\n  raise UserError("no")', a=0) is None
    assert refusal('def f(*, a=1):\n if a < LIMIT:\n  raise UserError("no")', a=0) is None
    assert refusal('def f(*, a=1):\n open(a)\n if a < 1:\n  raise UserError("no")', a=1) is None


def test_a_changed_argument_is_no_longer_judged():
    source = 'def f(x, *, a=1):\n a = x\n if a < 1:\n  raise UserError("no")'
    assert refusal(source, a=0) is None
    computed = 'def f(*, a=1):\n b = a - 1\n if b < 0:\n  raise UserError(f"b={b}")'
    assert refusal(computed, a=0) == "b=-1"
    assert refusal(computed) is None


def test_functions_beside_it_have_the_defaults_of_the_first():
    source = 'def f(*, a=1): g(a=a)\ndef rounds(*, a):\n if a < 1:\n  raise UserError("low")'
    assert refusal(source) is None
    assert refusal(source, a=0) == "low"
