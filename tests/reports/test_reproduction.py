"""The commands of a report lead back to the configuration they were made from."""

import dataclasses
import json
import shlex
import subprocess
import sys

from anchor_tf.reports import reproduction
from tests.test_config import resolved

# Parses command lines as the mains do; prints what configuration they come to.
PARSE = """
import dataclasses, json, sys
from absl import flags
from anchor_tf.config import TrainConfig
from anchor_tf.flags import train
configurations = []
for line in json.load(sys.stdin):
    flags.FLAGS.unparse_flags()
    flags.FLAGS(line)
    recipe = dict.fromkeys(("epochs", "warmup_epochs", "ramp_epochs"), 1)
    configurations.append(dataclasses.asdict(TrainConfig.resolve(train.values(), recipe)))
json.dump(configurations, sys.stdout)
"""


def test_a_training_command_comes_to_the_same_configuration():
    configs = [
        resolved(),
        resolved(
            method="anchor(beta=2,views=3)",
            dataset="folder(path=/data/my images)",
            norm=["l2"],
            epsilon=[1 / 3],
            epochs=7,
            augment="crop(padding=4),flip",
            finetune_epochs=2,
            train_examples=100,
            init_from="runs/it's",
            fold=3,
            awp=0.005,
            seed=9,
        ),
        resolved(epsilon=[8 / 255], finetune_epochs=1, epochs=30),
    ]
    completed = [dataclasses.replace(one, finetune_optimizer="adam") for one in configs]
    lines = [_words(reproduction.training_commands(one, "runs/a b")) for one in completed]
    assert all(line[:3] == ["python", "-m", "anchor_tf.train"] for line in lines)
    assert all(line[-1] == "--workdir=runs/a b" for line in lines)
    result = subprocess.run(
        [sys.executable, "-c", PARSE],
        input=json.dumps([line[2:] for line in lines]),
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(result.stdout) == [dataclasses.asdict(one) for one in completed]
    assert "--epsilon=8/255" in lines[2]


def _words(commands):
    (command,) = commands
    return shlex.split(command)


def test_a_run_that_was_made_longer_takes_a_command_for_each_length():
    commands = reproduction.training_commands(resolved(epochs=30), "runs/a", [5, 10])
    (last,) = reproduction.training_commands(resolved(epochs=30), "runs/a")
    assert commands == [last.replace("epochs=30", f"epochs={epochs}", 1) for epochs in (5, 10, 30)]
    assert " --epochs=5 " in commands[0]


def test_an_evaluation_command_holds_what_was_given():
    flags = dict.fromkeys(("model", "dataset", "save_examples", "out", "examples", "batch_size"))
    flags |= {"workdir": "runs/a b", "attacks": "fgsm,pgd(steps=20)", "norm": ["linf", "l2"]}
    flags |= {"epsilon": [0.1, 8 / 255, 0.0], "seed": 3}
    assert shlex.split(reproduction.evaluation_command(flags)) == [
        "python",
        "-m",
        "anchor_tf.evaluate",
        "--workdir=runs/a b",
        "--attacks=fgsm,pgd(steps=20)",
        "--norm=linf,l2",
        "--epsilon=0.1,8/255,0.0",
        "--seed=3",
    ]
