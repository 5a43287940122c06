"""TensorBoard event files that are written at once, without TensorFlow."""

import pathlib
from collections.abc import Sequence

from anchor_tf.files.atomic import replacing


def write(path: pathlib.Path, values: Sequence = (), wall_time: float = 0.0) -> None:
    """Writes an event file, atomically; a folder that holds one is a run to TensorBoard.

    Args:
        path: the file; its name must contain "tfevents".
        values: protos tensorboard.Summary.Value, all at step 0.
        wall_time: seconds since 1970 that the events bear.
    """
    # Imported here: the mains are to start at once.
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.record_writer import RecordWriter

    events = [Event(wall_time=wall_time, file_version="brain.Event:2")]
    if values:
        events.append(Event(wall_time=wall_time, summary=Summary(value=values)))
    with replacing(path) as file:
        writer = RecordWriter(file)
        for event in events:
            writer.write(event.SerializeToString())
