"""What a continued run finds in TensorBoard's files."""

import pathlib

import tensorflow as tf

from anchor_tf.tensorboard.event_files import trim


def write(path, steps):
    with tf.io.TFRecordWriter(str(path)) as writer:
        for step in steps:
            event = tf.compat.v1.Event(wall_time=1000.0 + step, step=step)
            writer.write(event.SerializeToString())


def steps_in(folder):
    found = []
    for path in sorted(folder.glob("events.out.tfevents.*")):
        for record in tf.data.TFRecordDataset(str(path)):
            found.append(tf.compat.v1.Event.FromString(record.numpy()).step)
    return found


def test_what_would_be_written_again_is_taken_away(tmp_path):
    write(tmp_path / "events.out.tfevents.1.a", [0, 1, 2])
    write(tmp_path / "events.out.tfevents.2.b", [3, 4, 5])
    trim(tmp_path, 4)
    assert steps_in(tmp_path) == [0, 1, 2, 3, 4]
    assert len(list(tmp_path.iterdir())) == 1


def test_a_kill_before_the_former_files_are_gone_doubles_nothing(tmp_path, monkeypatch):
    write(tmp_path / "events.out.tfevents.1.a", [0, 1, 2])
    write(tmp_path / "events.out.tfevents.2.b", [3, 4])
    with monkeypatch.context() as patch:
        patch.setattr(pathlib.Path, "unlink", lambda *_: None)
        trim(tmp_path, 4)
    assert steps_in(tmp_path) == [0, 1, 2, 3, 4, 3, 4]
    trim(tmp_path, 4)
    assert steps_in(tmp_path) == [0, 1, 2, 3, 4]
