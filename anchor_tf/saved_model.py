"""SavedModel export: what serves a classifier without anchor_tf or Keras."""

import os
import pathlib
import shutil

import keras
import tensorflow as tf

from anchor_tf.errors import UserError
from anchor_tf.files.atomic import put_in_place, remove_partial, temporary_path
from anchor_tf.models import model_file, model_path
from anchor_tf.serving import warm_up
from anchor_tf.serving.request_images import check_images, decode_images


def export(
    model: keras.Model,
    folder: str | os.PathLike,
    *,
    image_shape: tuple[int, int, int],
    source: pathlib.Path | None = None,
) -> pathlib.Path:
    """Writes a model as the next version of a SavedModel folder.

    Signatures, each for any batch size:
        serving_default: `images` float32 [B, H, W, C] in [0, 1] -> `logits` float32 [B, K],
            `probabilities` float32 [B, K], `label` int64 [B].
        embed: `images` as above -> `embedding` float32 [B, F], L2-normalised backbone features.
        serve_bytes: `image_bytes` strings [B], JPEG or PNG of any size -> as serving_default;
            decoded as in training, with transparency over white (see `images.rules`).

    What a request may hold is checked in the graph: images of another shape, with NaN or with
    pixels outside [0, 1] (beyond rounding, see `request_images`), bytes that are neither JPEG nor
    PNG, are damaged or announce more than 2**25 pixels end the request, and with it its whole
    batch, with an InvalidArgument status; an empty batch gets empty answers. TF Serving asks each
    signature once while it loads the version (see `warm_up`).

    Args:
        model: a Functional model images -> logits; its first layer, named "backbone", gives
            features [B, F].
        folder: receives 1/, or the number after the highest there; appears whole or not at all.
        image_shape: height, width and channels of the model's images.
        source: the file that holds the model, whose SHA-256 the version then bears in
            assets.extra/.

    Returns:
        The version's folder.

    Raises:
        UserError: the first layer is not named "backbone", or TensorFlow could not read a
            SavedModel in such a folder (see `model_path.check_name`).
    """
    model_path.check_name(folder)
    backbone = model_file.backbone_of(model)
    if backbone is None:
        raise UserError('the model should begin with a layer named "backbone"')
    archive = keras.export.ExportArchive()
    archive.track(model)
    images = tf.TensorSpec([None, *image_shape], tf.float32, name="images")
    image_bytes = tf.TensorSpec([None], tf.string, name="image_bytes")

    def classify(images):
        logits = _apply(model, images)
        return {
            "logits": logits,
            "probabilities": tf.nn.softmax(logits),
            "label": tf.argmax(logits, axis=-1, output_type=tf.int64),
        }

    def serve(images):
        return classify(check_images(images, image_shape))

    def embed(images):
        features = _apply(backbone, check_images(images, image_shape))
        return {"embedding": tf.math.l2_normalize(features, axis=-1)}

    def serve_bytes(image_bytes):
        return classify(decode_images(image_bytes, image_shape))

    archive.add_endpoint("serving_default", serve, input_signature=[images])
    archive.add_endpoint("embed", embed, input_signature=[images])
    archive.add_endpoint("serve_bytes", serve_bytes, input_signature=[image_bytes])
    return _write(archive, pathlib.Path(folder), warm_up.requests(image_shape), source)


def _apply(layer: keras.Layer, images: tf.Tensor) -> tf.Tensor:
    """The layer's float32 outputs in inference mode, for no images too."""
    count = tf.shape(images)[0]
    # TensorFlow's optimised convolutions fail on an empty batch: a black image stands in for it.
    missing = tf.cast(tf.equal(count, 0), tf.int32)
    padded = tf.pad(images, [[0, missing], [0, 0], [0, 0], [0, 0]])
    return tf.cast(layer(padded, training=False), tf.float32)[:count]


def _write(archive: keras.export.ExportArchive, folder: pathlib.Path, requests, source):
    """Writes the next version, whole or not at all; returns its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    # The name is not a number, so that a server watching the folder does not load it half written.
    remove_partial(folder)
    temporary = temporary_path(folder / "version")
    try:
        archive.write_out(temporary, verbose=False)
        warm_up.write(temporary, requests)
        if source is not None:
            (temporary / model_path.SOURCE).write_text(model_path.digest(source))
        taken = [int(path.name) for path in folder.iterdir() if path.name.isdecimal()]
        version = folder / str(max(taken, default=0) + 1)
        put_in_place(temporary, version)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return version
