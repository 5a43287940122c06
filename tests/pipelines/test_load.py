import subprocess
import sys

import pytest

from anchor_tf import specs
from anchor_tf.errors import UserError
from anchor_tf.pipelines import load


def check(text):
    return load.check(specs.parse(text))


def test_a_source_is_loaded_by_its_name():
    assert len(load.load(check("digits")).test) == 360


def test_arguments_are_typed():
    assert check("folder(path=/x, image_size=8)").arguments == {"path": "/x", "image_size": 8}


@pytest.mark.parametrize(
    "name",
    [
        "cifar10",
        "cifar10_n",
        "eurosat/rgb",
        "fashion_mnist",
        "imagenet_resized/32x32",
        "mnist:3.0.1",
        "svhn_cropped",
    ],
)
def test_any_other_name_is_one_of_tensorflow_datasets(name):
    spec = check(name)
    assert (spec.name, spec.arguments) == ("tfds", {"name": name})
    assert check(spec.text) == spec == load.check(spec)


def test_arguments_of_a_bare_name_are_passed_on():
    spec = check("cifar10(data_dir=/data/x, download=True)")
    assert spec.arguments == {"name": "cifar10", "data_dir": "/data/x", "download": True}


def test_a_name_that_only_the_disk_knows(tmp_path):
    (tmp_path / "home_made").mkdir()
    assert check(f"home_made(data_dir={tmp_path})").arguments["name"] == "home_made"
    with pytest.raises(UserError, match="unknown dataset 'home_made'"):
        check("home_made")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("digit", "unknown dataset 'digit': did you mean digits"),
        ("ciafr10", "unknown dataset 'ciafr10': did you mean cifar10"),
        ("svhn_croped", "did you mean svhn_cropped"),
        ("wibble", "unknown dataset 'wibble': known: digits, folder, npz, tfds"),
        ("npz", "needs path="),
        ("folder(path=/x, size=3)", "has no argument 'size'"),
        ("folder(path=/x, image_size=large)", "should be int or None"),
        ("cifar10(downlaod=True)", "did you mean download"),
        ("digits(size=3)", "takes none"),
    ],
)
def test_a_mistake_is_one_line(text, message):
    with pytest.raises(UserError, match=message) as error:
        check(text)
    assert "\n" not in str(error.value)


def test_checking_imports_neither_tensorflow_nor_the_data_sets():
    code = (
        "import sys; from anchor_tf import specs; from pipelines import augment, load;"
        "augment.check('crop(padding=4),rand_augment'); load.check(specs.parse('cifar10'));"
        "print([m for m in ('tensorflow', 'keras_cv', 'tensorflow_datasets') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stderr
