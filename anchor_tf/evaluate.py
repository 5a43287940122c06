"""Attacks a finished run's model: `python -m anchor_tf.evaluate --workdir=DIR --attacks=...`."""

import pathlib

from anchor_tf import command_line, config, specs
from anchor_tf.errors import UserError
from anchor_tf.workdir import Workdir
from flags import evaluate as evaluate_flags


def main() -> None:
    """Checks the flags and the run, then evaluates and replaces its report."""
    flags = evaluate_flags.values()
    attacks = specs.check_list(flags["attacks"], "anchor_tf.attacks", "attack")
    if flags["workdir"] is None:
        raise UserError("--workdir is missing: name the folder of a finished run")
    workdir = Workdir(flags["workdir"])
    run, _ = config.load(workdir.config)

    from pipelines import load

    data = load.load(load.check(specs.parse(run.dataset)))
    command_line.import_tensorflow()

    from anchor_tf import model_file
    from anchor_tf.assessment import assess
    from anchor_tf.threat import Threat

    epsilons = flags["epsilon"] or [run.epsilon]
    assess(
        model_file.load(workdir.model),
        data,
        [Threat(norm, epsilon) for norm in flags["norm"] for epsilon in epsilons],
        attacks,
        pathlib.Path(flags["out"] or workdir.path),
        dataset=run.dataset,
        seed=flags["seed"],
        examples=flags["examples"],
        batch_size=flags["batch_size"],
        training_epsilon=run.epsilon if run.norm == flags["norm"][0] else None,
        save_examples=flags["save_examples"],
        facts={"method": run.method, "backbone": run.backbone},
    )


if __name__ == "__main__":
    command_line.run(main)
