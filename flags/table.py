"""docs/flags.md from the flags themselves: `python -m anchor_tf.flags.table > docs/flags.md`."""

import importlib
import subprocess
import sys

from absl import flags

MAINS = ("train", "study", "evaluate", "export", "benchmark")
MADE = "Made by `python -m anchor_tf.flags.table > docs/flags.md`."
DEFAULTS = (
    "In train and study a blank default of `--augment`, `--backbone`, `--batch_size`, `--epochs`, "
    "`--epsilon`, `--finetune_epochs`, `--learning_rate`, `--ramp_epochs` and `--warmup_epochs` is "
    "the data set's (BUILD.md, Running). Other blanks mean what their rows say, or nothing."
)
_SET_BY_STUDY = ("method", "seed")  # for each run


def section(main: str) -> str:
    """Every flag of a main with its values, its default and its meaning, as Markdown.

    To be called once a process: two mains may mean different things by a name.
    """
    importlib.import_module(f"anchor_tf.flags.{main}")
    modules = flags.FLAGS.flags_by_module_dict()
    found = [
        flag
        for name, group in modules.items()
        if name.startswith("anchor_tf.flags.")
        for flag in group
        if not (main == "study" and flag.name in _SET_BY_STUDY)
    ]
    lines = [f"## anchor_tf.{main}", "", "| flag | default | meaning |", "| --- | --- | --- |"]
    return "\n".join([*lines, *map(_row, sorted(found, key=lambda flag: flag.name))])


def document() -> str:
    """The sections of all mains."""
    command = [sys.executable, "-m", "anchor_tf.flags.table"]
    sections = [
        subprocess.run([*command, main], capture_output=True, text=True, check=True).stdout
        for main in MAINS
    ]
    return "\n".join(["# Flags", "", MADE, "", DEFAULTS, "", *sections])


def _row(flag) -> str:
    values = getattr(flag.parser, "enum_values", None)
    name = f"`--{flag.name}`" + (f": {', '.join(values)}" if values else "")
    default = "" if flag.default is None else f"`{flag.default_as_str.strip(chr(39))}`"
    meaning = " ".join(flag.help.split())
    if values:  # absl puts them before the meaning of its own accord
        meaning = meaning.removeprefix(f"<{'|'.join(values)}>: ")
    return f"| {name} | {default} | {meaning} |"


if __name__ == "__main__":
    print(section(sys.argv[1]) if len(sys.argv) > 1 else document().rstrip())
