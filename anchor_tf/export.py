"""Exports a finished run's model anew: `python -m anchor_tf.export --workdir=DIR`."""

from anchor_tf import command_line, config
from anchor_tf.errors import UserError
from anchor_tf.workdir import Workdir
from flags import export as export_flags


def main() -> None:
    """Writes the model as the next SavedModel version of the run."""
    flags = export_flags.values()
    if flags["workdir"] is None:
        raise UserError("--workdir is missing: name the folder of a finished run")
    workdir = Workdir(flags["workdir"])
    _, facts = config.load(workdir.config)
    if not workdir.model.exists():
        raise UserError(f"{workdir.model} is missing: let the training of this run finish first")
    command_line.import_tensorflow()

    import keras

    from anchor_tf import saved_model
    from anchor_tf.backbones import layers  # noqa: F401  registers the layers that a model holds

    model = keras.models.load_model(workdir.model, compile=False)
    image_shape = tuple(facts["image_shape"])
    print(saved_model.export(model, workdir.export, image_shape=image_shape))


if __name__ == "__main__":
    command_line.run(main)
