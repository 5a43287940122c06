"""What TensorBoard's event files hold, without what depends on the clock."""

import hashlib
import pathlib

import tensorflow as tf


def read(folder: pathlib.Path) -> list[tuple[str, str, int, object]]:
    """(run, tag, step, value) of every event below a folder; of an image, a digest."""
    found = []
    for path in sorted(folder.rglob("events*")):
        run = str(path.parent.relative_to(folder))
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                if value.tag != "images_per_second":
                    found.append((run, value.tag, event.step, _plain(value.tensor)))
    return found


def _plain(tensor) -> object:
    array = tf.make_ndarray(tensor)
    if array.dtype == object:
        return hashlib.sha256(b"".join(array.ravel())).hexdigest()
    return array.item()
