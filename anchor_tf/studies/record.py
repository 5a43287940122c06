"""study.json: what a study is, and which of its runs failed."""

import contextlib
import json
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from anchor_tf import lock
from anchor_tf.atomic import replacing
from anchor_tf.errors import UserError
from anchor_tf.studies.entries import Entry


class Record:
    """The record of a study in its folder.

    Args:
        folder: the study's; made by `begin`.
        settings: all flags of the study but --methods and --seeds, by name.
        entries: what it compares.
        seeds: runs of each method.

    Raises:
        UserError: the folder holds another study, or files of something else.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        settings: Mapping[str, Any],
        entries: Sequence[Entry],
        seeds: int,
    ):
        self.folder, self.path = folder, folder / "study.json"
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
        with lock.alone(self.folder) as descriptor:
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
        try:
            former = json.loads(self.path.read_text(encoding="utf-8"))
            return {name: former[name] for name in (*self.content, "failures")}
        except FileNotFoundError:
            pass
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{self.path} cannot be read as a study: {error}") from error
        if self.folder.exists() and (
            not self.folder.is_dir() or any(p.name[0] != "." for p in self.folder.iterdir())
        ):
            raise UserError(
                f"{self.folder} is not empty and holds no study: choose another --workdir"
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
                "--workdir or give the same flags (methods and seeds may be added)"
            )

    def _write(self) -> None:
        with replacing(self.path) as file:
            file.write(json.dumps(self.content, indent=1).encode() + b"\n")
