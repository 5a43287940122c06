"""TensorBoard's event files, cut where a continued run goes on."""

import pathlib

import tensorflow as tf

from anchor_tf.files.atomic import put_in_place, temporary_path


def trim(folder: pathlib.Path, last_step: int) -> None:
    """Takes away the events after a step, which would be written a second time.

    What is kept goes into one file in place of the former ones. A record cut short by a kill, and
    what follows it in its file, is taken away too.

    Args:
        folder: holds the event files of one of TensorBoard's runs.
        last_step: the last one to keep.
    """
    paths = sorted(folder.glob("events.out.tfevents.*"))
    if not paths:
        return
    # A kill between the last two steps of an earlier call leaves records in two files.
    records = dict.fromkeys(record for path in paths for record in _records(path))
    kept = [r for r in records if tf.compat.v1.Event.FromString(r).step <= last_step]
    partial = temporary_path(folder / "kept")  # a name with tfevents TensorBoard would read
    with tf.io.TFRecordWriter(str(partial)) as writer:
        for record in kept:
            writer.write(record)
    put_in_place(partial, paths[0])
    for path in paths[1:]:
        path.unlink()


def _records(path: pathlib.Path) -> list[bytes]:
    found = []
    try:
        for record in tf.data.TFRecordDataset(str(path)):
            found.append(record.numpy())
    except tf.errors.DataLossError:
        pass  # the rest of the file
    return found
