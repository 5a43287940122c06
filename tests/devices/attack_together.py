"""Attacks a model on so many replicas and saves what came out; a process of its own.

Usage: python -m tests.devices.attack_together MODEL.keras DATA.npz JOURNAL OUT.npz REPLICAS
"""

import pathlib
import sys

import numpy as np

from anchor_tf import specs
from anchor_tf.devices import cluster
from anchor_tf.terminal import command_line

ATTACKS = "pgd(steps=4,restarts=2),square(queries=20)"


def main(model_path, data_path, journal, out, replicas):
    workers = cluster.described().size
    virtual_devices = replicas if replicas > 1 and workers == 1 else None
    command_line.import_tensorflow(virtual_devices, start_devices=workers == 1)
    from anchor_tf.devices import distribution
    from anchor_tf.evaluation import runner
    from anchor_tf.evaluation.journal import Journal
    from anchor_tf.models import model_file
    from anchor_tf.threat import Threat

    kind = "auto" if workers > 1 or virtual_devices else "one"
    place = distribution.place(kind, virtual_devices)
    with place.strategy.scope():
        model = model_file.load(model_path)
    data, journal = np.load(data_path), Journal(pathlib.Path(journal), "one")
    result = runner.evaluate(
        model,
        data["images"],
        data["labels"],
        specs.check_list(ATTACKS, "anchor_tf.attacks", "attack"),
        Threat("linf", 0.1),
        batch_size=10,
        place=place,
        keep_examples=True,
        journal=journal,
    )
    distribution.barrier(place.strategy)
    robust = np.stack([attack.robust for attack in result.attacks])
    np.savez(out, robust=robust, adversarial=result.adversarial, computed=journal.computed)


if __name__ == "__main__":
    main(*sys.argv[1:5], int(sys.argv[5]))
