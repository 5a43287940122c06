import shutil

import numpy as np
import pytest
from PIL import Image

from anchor_tf.errors import UserError
from anchor_tf.pipelines.sources.folder import folder

SIZE = (6, 5)  # Width and height.


def picture(seed, mode="RGB", size=SIZE):
    channels = {"L": (), "RGB": (3,), "RGBA": (4,), "LA": (2,)}[mode]
    pixels = np.random.RandomState(seed).randint(0, 256, (size[1], size[0], *channels))
    return Image.fromarray(pixels.astype(np.uint8))


def make(root, mode="RGB", classes=("cat", "ant"), ending="png"):
    """Ten training images and two test images of each class; returns the folder."""
    seed = 0
    for part, count in (("train", 10), ("test", 2)):
        for name in classes:
            directory = root / part / name
            directory.mkdir(parents=True)
            for number in range(count):
                picture(seed, mode).save(directory / f"{number:02}.{ending}")
                seed += 1
    return root


def refuse(root, message, **arguments):
    with pytest.raises(UserError, match=message) as error:
        folder(path=str(root), **arguments)
    assert "\n" not in str(error.value)


def test_pixels_labels_and_classes(tmp_path):
    make(tmp_path)
    data = folder(path=str(tmp_path))
    assert data.class_names == ("ant", "cat")
    assert data.image_shape == (5, 6, 3)
    assert [len(s) for s in (data.train, data.validation, data.test)] == [18, 2, 4]
    np.testing.assert_array_equal(data.test.labels, [0, 0, 1, 1])
    for row, name in enumerate(["ant/00", "ant/01", "cat/00", "cat/01"]):
        with Image.open(tmp_path / f"test/{name}.png") as image:
            np.testing.assert_array_equal(data.test.images[row], np.asarray(image))
    assert data.test.images.dtype == np.uint8
    assert data.name == tmp_path.name


def test_classes_are_in_the_order_of_their_names(tmp_path):
    make(tmp_path, classes=("d", "10", "b", "2", "c", "a"))
    assert folder(path=str(tmp_path)).class_names == ("10", "2", "a", "b", "c", "d")


def test_jpeg_endings_and_files_to_ignore(tmp_path):
    make(tmp_path, ending="JPG")
    picture(0).save(tmp_path / "train/cat/more.jpeg")
    (tmp_path / "train/cat/notes.txt").write_text("x")
    (tmp_path / "train/cat/.hidden.png").touch()
    (tmp_path / "train/.cache").mkdir()
    (tmp_path / "train/list.csv").touch()
    data = folder(path=str(tmp_path))
    assert len(data.train) + len(data.validation) == 21


def test_grey_images_keep_one_channel(tmp_path):
    make(tmp_path, mode="L")
    data = folder(path=str(tmp_path))
    assert data.image_shape == (5, 6, 1)
    with Image.open(tmp_path / "test/ant/00.png") as image:
        np.testing.assert_array_equal(data.test.images[0, ..., 0], np.asarray(image))


def test_grey_among_colour_becomes_colour(tmp_path):
    make(tmp_path)
    picture(7, "L").save(tmp_path / "test/ant/00.png")
    data = folder(path=str(tmp_path))
    expected = np.asarray(picture(7, "L"))
    for channel in range(3):
        np.testing.assert_array_equal(data.test.images[0, ..., channel], expected)


def test_colour_in_a_grey_set_becomes_grey(tmp_path):
    make(tmp_path, mode="L")
    picture(7).save(tmp_path / "test/ant/00.png")
    data = folder(path=str(tmp_path))
    np.testing.assert_array_equal(data.test.images[0, ..., 0], np.asarray(picture(7).convert("L")))


def test_transparency_lies_over_white(tmp_path):
    make(tmp_path)
    picture(7, "RGBA").save(tmp_path / "test/ant/00.png")
    pixels = folder(path=str(tmp_path)).test.images[0]
    rgba = np.asarray(picture(7, "RGBA")).astype(float)
    alpha = rgba[..., 3:] / 255
    np.testing.assert_allclose(pixels, rgba[..., :3] * alpha + 255 * (1 - alpha), atol=1)


def test_palettes(tmp_path):
    make(tmp_path)
    picture(7).quantize(8).save(tmp_path / "test/ant/00.png")
    expected = np.asarray(picture(7).quantize(8).convert("RGB"))
    np.testing.assert_array_equal(folder(path=str(tmp_path)).test.images[0], expected)


def test_resizing_is_antialiased(tmp_path):
    make(tmp_path)
    stripes = np.zeros((40, 40, 3), np.uint8)
    stripes[:, ::2] = 255
    Image.fromarray(stripes).save(tmp_path / "test/ant/00.png")
    data = folder(path=str(tmp_path), image_size=4)
    assert data.image_shape == (4, 4, 3)
    np.testing.assert_allclose(data.test.images[0, :, 1:3], 127.5, atol=8)


def test_odd_size(tmp_path):
    make(tmp_path)
    picture(0, size=(7, 5)).save(tmp_path / "train/cat/03.png")
    picture(0, size=(8, 5)).save(tmp_path / "train/cat/04.png")
    refuse(tmp_path, r"train/cat/03.png is 7x5 pixels, others are 6x5: .*image_size=")
    assert folder(path=str(tmp_path), image_size=8).image_shape == (8, 8, 3)
    refuse(tmp_path, "image_size=0 should be at least 1", image_size=0)


def test_odd_size_in_the_test_split(tmp_path):
    make(tmp_path)
    picture(0, size=(5, 6)).save(tmp_path / "test/cat/00.png")
    refuse(tmp_path, r"test/cat/00.png is 5x6 pixels, others are 6x5")


def test_missing_folders(tmp_path):
    refuse(tmp_path / "nowhere", "nowhere/train: no such folder; images should be in")
    make(tmp_path)
    shutil.rmtree(tmp_path / "test")
    refuse(tmp_path, "/test: no such folder")


def test_classes_that_do_not_match(tmp_path):
    make(tmp_path)
    shutil.rmtree(tmp_path / "test/cat")
    (tmp_path / "test/dog").mkdir()
    picture(0).save(tmp_path / "test/dog/0.png")
    refuse(tmp_path, r"class cat is in train/ only")


def test_a_class_in_the_test_split_only(tmp_path):
    make(tmp_path)
    shutil.copytree(tmp_path / "test/cat", tmp_path / "test/bee")
    refuse(tmp_path, r"class bee is in test/ only")


def test_a_class_without_images(tmp_path):
    make(tmp_path)
    (tmp_path / "train/bee").mkdir()
    refuse(tmp_path, r"train/bee holds no .jpg, .jpeg, .jpe, .jfif, .png files$")
    (tmp_path / "train/bee/1.webp").touch()
    (tmp_path / "train/bee/2.WEBP").touch()
    refuse(tmp_path, r"train/bee holds no .* files \(2 .webp\)")


def test_one_class(tmp_path):
    make(tmp_path, classes=("cat",))
    refuse(tmp_path, "1 class folders; two at least")


@pytest.mark.parametrize(
    ("ending", "content"),
    [
        ("png", b""),
        ("png", b"not an image"),
        ("jpg", b"GIF89a"),
        ("png", "truncated"),
        ("jpg", "truncated"),
    ],
)
def test_damaged_files_are_named(tmp_path, ending, content):
    make(tmp_path)
    path = tmp_path / f"train/cat/05.{ending}"
    if content == "truncated":
        picture(0, size=(60, 50)).save(path)
        content = path.read_bytes()[:-800]
    path.write_bytes(content)
    refuse(tmp_path, rf"train/cat/05.{ending}( is damaged| cannot be read)", image_size=6)


def test_more_than_eight_bits(tmp_path):
    make(tmp_path, mode="L")
    Image.fromarray(np.full((5, 6), 40_000, np.uint16)).save(tmp_path / "test/cat/00.png")
    data = folder(path=str(tmp_path))
    assert data.image_shape == (5, 6, 1)
    np.testing.assert_array_equal(data.test.images[2], np.full((5, 6, 1), 40_000 // 256))


def test_orientation_is_applied(tmp_path):
    make(tmp_path)
    turned = Image.Exif()
    turned[0x0112] = 6
    picture(3, size=SIZE[::-1]).save(tmp_path / "train/ant/00.jpg", exif=turned)
    data = folder(path=str(tmp_path))  # all are of one size as they are to be seen
    with Image.open(tmp_path / "train/ant/00.jpg") as image:
        expected = np.rot90(np.asarray(image), -1)
    everything = np.concatenate([data.train.images, data.validation.images])
    assert (everything == expected).all(axis=(1, 2, 3)).sum() == 1


def test_images_lie_deeper(tmp_path):
    make(tmp_path)
    flat = folder(path=str(tmp_path))
    below = tmp_path / "train/cat/2024/may"
    below.mkdir(parents=True)
    for name in ("00", "01", "02"):
        (tmp_path / f"train/cat/{name}.png").rename(below / f"{name}.PNG")
    (tmp_path / "train/cat/.trash").mkdir()
    picture(90).save(tmp_path / "train/cat/.trash/1.png")
    (tmp_path / "train/cat/again").symlink_to(tmp_path / "train/cat")
    deep = folder(path=str(tmp_path))
    assert deep.warnings == []
    before, after = (
        sorted(map(bytes, np.concatenate([data.train.images, data.validation.images])))
        for data in (flat, deep)
    )
    assert before == after


def test_what_is_left_out_is_counted(tmp_path):
    make(tmp_path)
    assert folder(path=str(tmp_path)).warnings == []
    for name in ("1.webp", "2.WEBP", "3.bmp", "deep/4.gif", "5.tif", "notes.txt", "6", ".hidden"):
        file = tmp_path / "train/cat" / name
        file.parent.mkdir(exist_ok=True)
        file.touch()
    picture(1).save(tmp_path / "test/loose.png")
    (tmp_path / "test/list.csv").touch()
    (tmp_path / "val/cat").mkdir(parents=True)
    (tmp_path / "docs").mkdir()
    warnings = folder(path=str(tmp_path)).warnings
    assert len(warnings) == 3
    assert "train: files left out for their endings: 7 (2 .webp" in warnings[0]
    assert "test: images left out, as they lie in no class: 1" in warnings[1]
    assert "val is left out" in warnings[2]


def test_skipped_images_are_counted_in_a_warning(tmp_path):
    make(tmp_path)
    (tmp_path / "train/cat/03.png").write_bytes(b"")
    data = folder(path=str(tmp_path), damaged="skip")
    assert data.warnings == [f"{tmp_path}/train: 1 images are skipped"]


@pytest.mark.parametrize("ending", ["jpe", "jfif", "JPEG", "Jpg", "PNG"])
def test_endings(tmp_path, ending):
    make(tmp_path)
    picture(0).save(tmp_path / f"test/cat/9.{ending}", "PNG" if ending == "PNG" else "JPEG")
    data = folder(path=str(tmp_path))
    assert len(data.test) == 5
    assert data.warnings == []


def test_composed_and_decomposed_names_are_one_class(tmp_path):
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    make(tmp_path, classes=(composed, "ant"))
    (tmp_path / "test" / composed).rename(tmp_path / "test" / decomposed)
    data = folder(path=str(tmp_path))
    assert data.class_names == ("ant", composed)
    np.testing.assert_array_equal(data.test.labels, [0, 0, 1, 1])
    (tmp_path / "train" / decomposed).mkdir()
    picture(70).save(tmp_path / "train" / decomposed / "more.png")
    data = folder(path=str(tmp_path))
    assert data.class_names == ("ant", composed)
    assert len(data.train) + len(data.validation) == 21


def test_a_decompression_bomb(tmp_path, monkeypatch):
    make(tmp_path)
    picture(0, size=(40, 40)).save(tmp_path / "train/cat/05.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)
    refuse(tmp_path, r"train/cat/05.png: the image is too large", image_size=6)


def test_threads_give_the_same(tmp_path, monkeypatch):
    from anchor_tf.pipelines.sources import folder as module

    make(tmp_path)
    one = folder(path=str(tmp_path))
    monkeypatch.setattr(module, "_PIXELS_WORTH_A_THREAD", 0)
    monkeypatch.setattr(module, "_FILES_A_TASK", 3)
    monkeypatch.setattr(module.os, "cpu_count", lambda: 4)
    many = folder(path=str(tmp_path))
    np.testing.assert_array_equal(one.train.images, many.train.images)
    np.testing.assert_array_equal(one.train.labels, many.train.labels)
