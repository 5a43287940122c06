"""Exports a finished run's model anew: `python -m anchor_tf.export --workdir=DIR`."""

from anchor_tf import config
from anchor_tf.errors import UserError
from anchor_tf.files import lock
from anchor_tf.models import model_path
from anchor_tf.setup import refusals
from anchor_tf.terminal import command_line
from anchor_tf.workdir import Workdir


def main() -> None:
    """Writes the model as the next SavedModel version of the run, or as its model.tflite."""
    from anchor_tf.flags import export as export_flags  # here: the import defines flags

    flags = export_flags.values()
    if flags["workdir"] is None:
        raise UserError("--workdir is missing: name the folder of a finished run")
    refusals.name_of("workdir", flags["workdir"])
    workdir = Workdir(flags["workdir"])
    with refusals.naming("workdir"):
        _, facts = config.load(workdir.config)
        image_shape, _ = config.image_facts(workdir.config, facts)
        model_path.check(workdir.model)
    command_line.import_tensorflow()

    from anchor_tf import saved_model
    from anchor_tf.models import model_file
    from anchor_tf.serving import tflite_model

    with refusals.naming("workdir"):
        model = model_file.load(workdir.model)
    if tuple(getattr(model, "input_shape", ())[1:]) != image_shape:
        raise UserError(f"{workdir.config} is damaged: its image_shape is not that of the model")
    with lock.alone(workdir.path):
        if flags["format"] == "tflite":
            tflite_model.write(model, workdir.tflite, image_shape=image_shape)
            written = workdir.tflite
        else:
            written = saved_model.export(
                model, workdir.export, image_shape=image_shape, source=workdir.model
            )
    print(written)


if __name__ == "__main__":
    command_line.run(main, "export", continues=False)
