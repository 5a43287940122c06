"""Sends mutated requests to a SavedModel in this process, and tells what became of each.

    python served_requests.py SAVED_MODEL SEED COUNT OUTCOMES

OUTCOMES gets a line of JSON for each: {"signature", "outcome", "reason"}, where the outcome is
"answer", "refused" or what is wrong with an answer.
"""

import io
import json
import pathlib
import random
import resource
import sys

import numpy as np
import tensorflow as tf
from PIL import Image

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.hostile.mutations import mutate, png

SHAPE = (8, 8, 1)
MEMORY = 2**29  # bytes that this process may grow by: no bomb was unpacked


def encoded(random_: random.Random) -> list[bytes]:
    """Up to four encoded images, most of them mutated, and sometimes a bomb."""
    found = []
    for _ in range(random_.randrange(5)):
        size = (random_.randrange(1, 40), random_.randrange(1, 40))
        mode, kind = random_.choice((("RGB", "JPEG"), ("L", "JPEG"), ("RGB", "PNG"), ("P", "PNG")))
        buffer = io.BytesIO()
        Image.frombytes("RGB", size, random_.randbytes(3 * size[0] * size[1])).convert(mode).save(
            buffer, kind
        )
        content = buffer.getvalue()
        found.append(mutate(random_, content) if random_.random() < 0.6 else content)
    if random_.random() < 0.1:
        side = random_.choice((6_000, 20_000, 2**31 - 1))
        found.append(png(side, side, random_.choice((0, 10))))
    return found


def pixels(random_: random.Random):
    """Images of any shape and type, most of them with something wrong."""
    draws = np.random.RandomState(random_.randrange(2**31))
    shape = random_.choice(
        (
            [3, *SHAPE],
            [3, *SHAPE],
            [0, *SHAPE],
            [3, 16, 16, 1],
            [3, 8, 8, 3],
            SHAPE,
            [],
            [2, 0, 8, 1],
        )
    )
    images = np.asarray(draws.uniform(size=shape), np.float32)
    wrong = random_.choice((None, None, np.nan, np.inf, -np.inf, 1e30, -0.5, 255.0, 1.0005, -1e-7))
    if wrong is not None and images.size:
        images.flat[draws.randint(images.size)] = wrong
    return images.astype(random_.choice(("float32",) * 6 + ("float64", "uint8", "float16")))


def judged(signature: str, request, answer) -> str:
    """Whether an answer is what a valid request gets."""
    valid = True
    if signature != "serve_bytes":
        inside = request.size == 0 or (request.min() >= -1e-3 and request.max() <= 1.001)
        valid = request.dtype == np.float32 and list(request.shape[1:]) == [*SHAPE] and inside
    if not valid:
        return "an answer to a wrong request"
    for name, values in answer.items():
        if len(values) != len(request):
            return f"{len(values)} {name} for {len(request)} images"
        if not np.all(np.isfinite(values)):
            return f"{name} is not finite"
    if "label" in answer and not np.array_equal(answer["label"], answer["logits"].argmax(1)):
        return "label is not that of the largest logit"
    return "answer"


def asked(signatures, random_: random.Random) -> dict[str, str]:
    """Sends one request."""
    signature = random_.choice(("serving_default", "embed", "serve_bytes", "serve_bytes"))
    if signature == "serve_bytes":
        request = encoded(random_)
        tensors = {"image_bytes": tf.constant(request, tf.string, [len(request)])}
    else:
        request = pixels(random_)
        tensors = {"images": tf.constant(request)}
    try:
        answer = {k: v.numpy() for k, v in signatures[signature](**tensors).items()}
    except (tf.errors.InvalidArgumentError, ValueError) as error:
        return {"signature": signature, "outcome": "refused", "reason": str(error)[:2000]}
    outcome = judged(signature, request, answer)
    return {"signature": signature, "outcome": outcome, "reason": ""}


def main() -> None:
    """Sends the requests, then a valid one that must be answered as it was at first."""
    folder, seed, count, outcomes = sys.argv[1:]
    random_ = random.Random(int(seed))
    signatures = tf.saved_model.load(folder).signatures
    images = tf.constant(np.random.RandomState(0).uniform(size=[4, *SHAPE]), tf.float32)
    before = signatures["serving_default"](images=images)["logits"].numpy()
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    with open(outcomes, "w", encoding="utf-8") as file:
        for _ in range(int(count)):
            file.write(json.dumps(asked(signatures, random_)) + "\n")
            file.flush()
    after = signatures["serving_default"](images=images)["logits"].numpy()
    np.testing.assert_array_equal(before, after)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - used
    if grown > MEMORY:
        sys.exit(f"the process has grown by {grown / 2**30:.1f} GiB")


if __name__ == "__main__":
    main()
