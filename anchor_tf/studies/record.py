"""study.json: what a study is, and which of its runs failed."""

import contextlib
import json
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from anchor_tf.errors import UserError
from anchor_tf.files import lock
from anchor_tf.files.atomic import replacing
from anchor_tf.studies.entries import Entry

NAME = "study.json"


def read(folder: pathlib.Path) -> dict[str, Any]:
    """What `Record` has left in a folder.

    Returns:
        "methods", the text of each entry -> the name of its folder; "seeds"; "settings"; and
        "failures".

    Raises:
        UserError: there is no study, or its record is damaged.
    """
    path = folder / NAME
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        kinds = {"methods": dict, "seeds": int, "settings": dict, "failures": dict}
        for name, kind in kinds.items():
            if not isinstance(content[name], kind):
                raise ValueError(f"its {name} are another version's")
        if not all(isinstance(name, str) for name in content["methods"].values()):
            raise ValueError("its methods have no folders")
    except FileNotFoundError as error:
        raise UserError(f"{folder} holds no study") from error
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(
            f"{path} cannot be read as a study ({error}): choose another folder"
        ) from error
    return content


class Record:
    """The record of a study in its folder.

    Args:
        folder: the study's; made by `begin`.
        settings: what must be the same when the study is given again, by the flags' names.
        entries: what it compares.
        seeds: runs of each method; 0 for folds.
        flag: what named the folder.

    Raises:
        UserError: the folder holds another study, or files of something else.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        settings: Mapping[str, Any],
        entries: Sequence[Entry],
        seeds: int,
        flag: str = "workdir",
    ):
        self.folder, self.flag = folder, flag
        folders = {entry.text: entry.folder_name for entry in entries}
        content = {"methods": folders, "seeds": seeds, "settings": dict(settings), "failures": {}}
        # As JSON gives it back, so that what is read can be compared with it.
        self.content = json.loads(json.dumps(content))
        former = self._former()
        if former is not None:
            self._check(former)
            kept = set(folders.values())
            self.content["failures"] = {
                run: failure
                for run, failure in former["failures"].items()
                if run.partition("/")[0] in kept
            }

    @property
    def failures(self) -> dict[str, dict[str, Any]]:
        """Name of a run that failed -> its exit status and the last line it wrote to stderr."""
        return self.content["failures"]

    @contextlib.contextmanager
    def begun(self) -> Iterator[int]:
        """Writes the record and keeps other studies out of the folder.

        Yields:
            A file descriptor. The folder is free once all who have inherited it are gone, a run
            that outlived its study too.
        """
        with lock.alone(self.folder, self.flag) as descriptor:
            self._write()
            yield descriptor

    def failed(self, run: str, status: int, message: str) -> None:
        """Notes that a run has failed."""
        self.failures[run] = {"status": status, "message": message}
        self._write()

    def succeeded(self, run: str) -> None:
        """Notes that a run has been done, whatever became of it before."""
        if self.failures.pop(run, None) is not None:
            self._write()

    def _former(self) -> dict[str, Any] | None:
        if (self.folder / NAME).exists():
            return read(self.folder)
        if self.folder.exists() and (
            not self.folder.is_dir() or any(p.name[0] != "." for p in self.folder.iterdir())
        ):
            raise UserError(
                f"{self.folder} is not empty and holds no study: choose another --{self.flag}"
            )
        return None

    def _check(self, former: Mapping[str, Any]) -> None:
        """Methods and seeds may be added, and methods left out that have no finished run."""
        old, new = former["settings"], self.content["settings"]
        differing = [
            f"--{name}={old.get(name)} (now {new.get(name)})"
            for name in {**old, **new}
            if old.get(name) != new.get(name)
        ]
        before, now = former["methods"], self.content["methods"]
        lost = [folder for method, folder in before.items() if method not in now]
        if any(any((self.folder / name).glob("*/report.json")) for name in lost):
            differing.append(f"--methods={','.join(before)} (now {','.join(now)})")
        if self.content["seeds"] < former["seeds"]:
            differing.append(f"--seeds={former['seeds']} (now {self.content['seeds']})")
        if differing:
            raise UserError(
                f"{self.folder} holds another study: {', '.join(differing)}; choose another "
                f"--{self.flag} or give the same flags (methods and seeds may be added)"
            )

    def _write(self) -> None:
        with replacing(self.folder / NAME) as file:
            file.write(json.dumps(self.content, indent=1).encode() + b"\n")
