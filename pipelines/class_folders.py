"""Which files of a folder are images of which class, and which are left out."""

import collections
import dataclasses
import os
import pathlib
import unicodedata
from collections.abc import Collection, Sequence

from anchor_tf.errors import UserError

ENDINGS = (".jpg", ".jpeg", ".jpe", ".jfif", ".png")  # in small letters or capitals
_LISTED = 5  # endings in a warning


@dataclasses.dataclass(frozen=True)
class ClassFolders:
    """The images of a split.

    Attributes:
        files: class name -> its image files, one at least; both in order.
        warnings: what was left out.
    """

    files: dict[str, list[pathlib.Path]]
    warnings: list[str]


def read(part: pathlib.Path) -> ClassFolders:
    """Looks through PART/CLASS/ and the folders below.

    Two folders whose names are the same in Unicode's composed form (NFC) are one class of that
    name. Hidden files and folders are ignored.

    Raises:
        UserError: the folder is missing, has less than two classes, or one without images.
    """
    if not part.is_dir():
        raise UserError(f"{part}: no such folder; images should be in {part}/CLASS/")
    entries = sorted(entry for entry in part.iterdir() if not entry.name.startswith("."))
    folders: dict[str, list[pathlib.Path]] = {}
    for entry in filter(pathlib.Path.is_dir, entries):
        folders.setdefault(unicodedata.normalize("NFC", entry.name), []).append(entry)
    if len(folders) < 2:
        raise UserError(f"{part} has {len(folders)} class folders; two at least are needed")
    images, others = {}, []
    for name in sorted(folders):
        if not name.isprintable():
            raise UserError(f"{part}: the class {name!a} has a name that cannot be printed")
        inside = [file for folder in folders[name] for file in _files_below(folder)]
        images[name] = list(filter(_is_image, inside))
        others += [file for file in inside if not _is_image(file)]
        if not images[name]:
            raise UserError(
                f"{folders[name][0]} holds no {', '.join(ENDINGS)} files{_counted(others)}"
            )
    outside = [entry for entry in entries if _is_image(entry) and not entry.is_dir()]
    return ClassFolders(images, _left_out(part, others, outside))


def other_splits(root: pathlib.Path, classes: Collection[str]) -> list[str]:
    """Warnings of folders beside train/ and test/ that hold the same classes, such as val/."""
    return [
        f"{shown(folder)} is left out: the images for validation are held out of train/"
        for folder in sorted(root.iterdir())
        if folder.name not in ("train", "test")
        and not folder.name.startswith(".")
        and any((folder / name).is_dir() for name in classes)
    ]


def shown(file: pathlib.Path | str) -> str:
    """A file's name in one line of text, whatever its bytes."""
    return "".join(c if c.isprintable() else "?" for c in str(file))


def _is_image(file: pathlib.Path) -> bool:
    return file.name.lower().endswith(ENDINGS)


def _files_below(folder: pathlib.Path) -> list[pathlib.Path]:
    """The files in a folder and in those below it, in order; hidden ones are left out."""
    found, visited = [], set()
    for place, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in visited:  # by a link that leads back
            folders.clear()
            continue
        visited.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [pathlib.Path(place, name) for name in files if not name.startswith(".")]
    return sorted(found, key=lambda file: file.relative_to(folder).parts)


def _left_out(
    part: pathlib.Path, others: Sequence[pathlib.Path], outside: Sequence[pathlib.Path]
) -> list[str]:
    """Warnings of files with other endings, and of images in no class folder."""
    found = []
    if others:
        found.append(
            f"{shown(part)}: files left out for their endings: {len(others)}{_counted(others)}; "
            f"those that are read end in {', '.join(ENDINGS)}"
        )
    if outside:
        found.append(f"{shown(part)}: images left out, as they lie in no class: {len(outside)}")
    return found


def _counted(files: Sequence[pathlib.Path]) -> str:
    """How many files there are of which ending: " (2 .webp, 1 .txt)"."""
    counts = collections.Counter(file.suffix.lower() or "without any" for file in files)
    listed = [f"{count} {shown(ending)}" for ending, count in counts.most_common(_LISTED)]
    listed += ["others"] * (len(counts) > _LISTED)
    return f" ({', '.join(listed)})" if listed else ""
