"""Mutated image files: refused in a line that names the file, or skipped, named and counted.

The short version mutates 60 files; `HOSTILE=full` 500.
"""

import io
import os
import random

import numpy as np
import pytest
from PIL import Image

from anchor_tf.errors import UserError
from anchor_tf.pipelines.sources.folder import folder
from tests.hostile.mutations import mutate, png

FILES = 500 if os.environ.get("HOSTILE") == "full" else 60
SEED = 2
MODES = {"PNG": ("RGB", "L", "RGBA", "P", "1", "I;16"), "JPEG": ("RGB", "L", "CMYK")}


def originals() -> list[tuple[str, bytes]]:
    """Images of every kind that the formats have, with their endings."""
    found = []
    for kind, modes in MODES.items():
        for mode in modes:
            pixels = np.random.RandomState(0).randint(0, 256, (24, 20, 3)).astype(np.uint8)
            image = Image.fromarray(pixels).convert("L" if mode == "I;16" else mode)
            for options in ({}, {"progressive": True} if kind == "JPEG" else {"optimize": True}):
                buffer = io.BytesIO()
                image.convert(mode).save(buffer, kind, **options)
                found.append((kind.lower(), buffer.getvalue()))
    return found


def special() -> list[tuple[str, bytes]]:
    """Bombs, other formats, endings that lie."""
    found = [
        ("png", png(100_000, 100_000, 0)),
        ("png", png(2**31 - 1, 2**31 - 1, 1)),
        ("png", png(9_000, 9_000, 50)),
        ("png", png(20, 24, 24, colour=3)),
        ("png", png(0, 0, 0)),
        ("png", png(20, 24, 24, text=bytes(2**27))),
        ("png", b""),
        ("jpg", b"\xff\xd8\xff"),
        ("png", b"not an image"),
    ]
    for kind in ("GIF", "BMP", "TIFF", "WEBP"):
        buffer = io.BytesIO()
        Image.new("RGB", (20, 24)).save(buffer, kind)
        found.append(("png", buffer.getvalue()))
    return found


@pytest.fixture(scope="module")
def damaged(tmp_path_factory):
    """A folder of good images and, in train/ant, mutated ones."""
    root = tmp_path_factory.mktemp("images")
    for part in ("train", "test"):
        for name in ("ant", "bee"):
            (root / part / name).mkdir(parents=True)
            for number in range(12):
                image = Image.new("RGB", (20, 24), (number, 100, 200))
                image.save(root / part / name / f"good{number:02}.png")
    random_ = random.Random(SEED)
    contents = special()
    while len(contents) < FILES:
        ending, content = random_.choice(originals())
        contents.append((random_.choice((ending, ending, "jpg", "png")), mutate(random_, content)))
    for number, (ending, content) in enumerate(contents):
        (root / "train" / "ant" / f"mutated{number:03}.{ending}").write_bytes(content)
    return root


def alone(root, path, tmp_path):
    """A folder that holds one mutated file among good ones."""
    for part in ("train", "test"):
        for name in ("ant", "bee"):
            (tmp_path / part / name).mkdir(parents=True)
            for good in sorted((root / part / name).glob("good*")):
                (tmp_path / part / name / good.name).write_bytes(good.read_bytes())
    (tmp_path / "train" / "ant" / path.name).write_bytes(path.read_bytes())
    return tmp_path


def test_skipped_files_are_named_and_counted(damaged, capfd):
    data = folder(path=str(damaged), image_size=8, damaged="skip")
    lines = capfd.readouterr().err.splitlines()
    assert lines.pop() == f"skipped {len(lines)} of {FILES + 24} images"
    kept = len(data.train) + len(data.validation)
    assert kept == FILES + 24 - len(lines)
    assert all(line.startswith("skipped: ") and "/train/ant/mutated" in line for line in lines)
    assert len({line.split()[1] for line in lines}) == len(lines)
    # Most mutations do harm, and all that is special does.
    assert len(lines) > FILES // 2
    for number in range(len(special())):
        assert any(f"mutated{number:03}." in line for line in lines)
    assert data.train.images.dtype == np.uint8
    assert data.train.images.shape[1:] == (8, 8, 3)


def refusal(root) -> str | None:
    """What the source says against a folder."""
    try:
        folder(path=str(root), image_size=8)
    except UserError as error:
        return str(error)
    return None


def test_each_file_is_read_or_refused_by_name(damaged, tmp_path, capfd):
    folder(path=str(damaged), image_size=8, damaged="skip")
    skipped = capfd.readouterr().err
    root = alone(damaged, damaged / "train" / "ant" / "good00.png", tmp_path)
    for path in sorted((damaged / "train" / "ant").glob("mutated*")):
        place = root / "train" / "ant" / path.name
        place.write_bytes(path.read_bytes())
        message = refusal(root)
        assert (message is not None) == (path.name in skipped)
        assert message is None or (path.name in message and "\n" not in message)
        place.unlink()
    assert refusal(root) is None


def test_a_class_of_which_nothing_is_left(damaged, tmp_path):
    path = damaged / "train" / "ant" / "mutated000.png"
    root = alone(damaged, path, tmp_path)
    for good in (root / "train" / "ant").glob("good*"):
        good.unlink()
    with pytest.raises(UserError, match="train/ant: none of its images can be read"):
        folder(path=str(root), damaged="skip")


def test_what_is_no_file(damaged, tmp_path):
    root = alone(damaged, damaged / "train" / "ant" / "good00.png", tmp_path)
    os.mkfifo(root / "train" / "ant" / "pipe.png")
    with pytest.raises(UserError, match=r"pipe\.png cannot be read: it is no file"):
        folder(path=str(root))


def test_names_that_cannot_be_printed(damaged, tmp_path):
    root = alone(damaged, damaged / "train" / "ant" / "good00.png", tmp_path)
    (root / "train" / "ant" / "a\nb\x1b[2J.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"a\?b\?\[2J\.png cannot be read"):
        folder(path=str(root))
    for part in ("train", "test"):
        (root / part / "bee").rename(root / part / "b\tee")
    with pytest.raises(UserError, match="has a name that cannot be printed"):
        folder(path=str(root))
