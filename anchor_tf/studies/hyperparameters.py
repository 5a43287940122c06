"""The finished runs of a study for TensorBoard's HPARAMS page: configuration and final figures."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

from anchor_tf.studies.plan import Run
from anchor_tf.studies.results import Result
from anchor_tf.tensorboard import summary_file

FACTS = ("training_seconds", "image_passes", "parameters")  # of the report, beside accuracies


def write(
    folder: pathlib.Path, runs: Sequence[Run], results: Mapping[str, Sequence[Result]]
) -> list[pathlib.Path]:
    """Writes an event file for each finished run, anew each time.

    Which columns there are TensorBoard finds out itself, so that several studies may be shown
    together.

    Args:
        folder: the study's; METHOD/seed_N below FOLDER/hparams becomes a run of TensorBoard.
        runs: all of them.
        results: method -> its finished runs.

    Returns:
        The files.
    """
    finished = {(r.folder.parent.name, r.folder.name): r for each in results.values() for r in each}
    written = []
    for run in runs:
        result = finished.get((run.folder.parent.name, run.folder.name))
        if result is not None:
            path = folder / "hparams" / run.name / "events.out.tfevents.hparams"
            when = (result.folder / "report.json").stat().st_mtime
            summary_file.write(path, [*_session(run, result, when), *_figures(result)], when)
            written.append(path)
    return written


def _session(run: Run, result: Result, when: float) -> list:
    """What the run is, how it was attacked, and that it has ended well."""
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2

    group = f"{run.folder.parents[1].name}/{run.name}"  # that of another study is another
    start = plugin_data_pb2.SessionStartInfo(group_name=group, start_time_secs=when)
    report = result.report  # its attacks need not be those that the training asked for
    attacked = {"attacks": ",".join(report["attacks"]), "examples": report["examples"]}
    attacked |= {f"attacked_{name}": report[name] for name in ("norm", "epsilon")}
    for name, value in (dataclasses.asdict(run.config) | attacked).items():
        if isinstance(value, int | float):
            start.hparams[name].number_value = value
        else:
            start.hparams[name].string_value = "none" if value is None else value
    end = plugin_data_pb2.SessionEndInfo(status=api_pb2.STATUS_SUCCESS, end_time_secs=when)
    content = {
        metadata.SESSION_START_INFO_TAG: {"session_start_info": start},
        metadata.SESSION_END_INFO_TAG: {"session_end_info": end},
    }
    return [
        Summary.Value(
            tag=tag,
            metadata=metadata.create_summary_metadata(plugin_data_pb2.HParamsPluginData(**data)),
            tensor=metadata.NULL_TENSOR,
        )
        for tag, data in content.items()
    ]


def _figures(result: Result) -> list:
    """Its accuracies in per cent, and what it took."""
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.scalar import metadata
    from tensorboard.util import tensor_util

    figures = {f"{name} %": 100 * value for name, value in result.accuracies.items()}
    figures |= {name: result.report[name] for name in FACTS if name in result.report}
    return [
        Summary.Value(
            tag=name,
            metadata=metadata.create_summary_metadata(display_name=None, description=None),
            tensor=tensor_util.make_tensor_proto(float(value), dtype="float32"),
        )
        for name, value in figures.items()
    ]
