"""history.csv read back: a row an epoch, over all phases of a run."""

import csv
import pathlib


def read(path: pathlib.Path) -> list[dict[str, str]]:
    """The rows of a history.csv; none if there is no file."""
    if not path.exists():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def training_seconds(path: pathlib.Path) -> float:
    """Seconds of the epochs that led to the model kept, validation not counted."""
    rows = (row for row in read(path) if row["phase"] in ("train", "finetune"))
    return sum(float(row["seconds"]) for row in rows)
