"""Which exports count as those of a model, and where one could not be read."""

import pytest
import tensorflow as tf

from anchor_tf.errors import UserError
from anchor_tf.models import model_path


def test_an_export_under_way_is_none(tmp_path):
    model = tmp_path / "model.keras"
    model.write_bytes(b"weights")
    for name, expected in ((".partial.77.version", False), ("1", True)):
        path = tmp_path / "export" / name / model_path.SOURCE
        path.parent.mkdir(parents=True)
        path.write_text(model_path.digest(model))
        assert model_path.exported(model, tmp_path / "export") == expected
    model.write_bytes(b"other weights")
    assert not model_path.exported(model, tmp_path / "export")


PATTERNS = ["run [1]", "run*", "what?", "a\\b", "deep/r[0-9]/run"]


@pytest.mark.parametrize("name", PATTERNS)
def test_a_name_that_tensorflow_takes_for_a_pattern(name, tmp_path):
    with pytest.raises(UserError, match="TensorFlow takes for a pattern") as error:
        model_path.check_name(tmp_path / name)
    assert "\n" not in str(error.value)
    folder = tmp_path / name
    folder.mkdir(parents=True)
    (folder / "saved_model.pb").touch()
    with pytest.raises(UserError, match="pattern"):
        model_path.check(folder)


PLAIN = ["a]b", "a b", "a,b", "a#b", "a%20b", "a{b,c}", "caf\u00e9", "a$b", "a;b", "a'b", "a~b"]


@pytest.mark.parametrize("name", PLAIN)
def test_other_names_are_read_by_tensorflow(name, tmp_path):
    model_path.check_name(tmp_path / name)
    module = tf.Module()
    module.variable = tf.Variable(3.0)
    tf.saved_model.save(module, str(tmp_path / name))
    assert model_path.check(tmp_path / name) == tmp_path / name
    assert tf.saved_model.load(str(tmp_path / name)).variable.numpy() == 3.0
