"""Which exports count as those of a model."""

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
