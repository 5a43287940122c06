"""What attacks are checked with before they run."""

import math

import pytest
import tensorflow as tf

from anchor_tf.errors import UserError
from anchor_tf.evaluation.members import check_attacks, members_of, trace
from anchor_tf.threat import Threat

IMAGENET, CLASSES = (224, 224, 3), 10_000


def nodes(concrete):
    """Of a function and of all loops and branches inside, with the sizes of what they return."""
    graph = concrete.graph.as_graph_def(add_shapes=True)
    for node in (*graph.node, *(n for f in graph.library.function for n in f.node_def)):
        shapes = [tf.TensorShape(shape) for shape in node.attr["_output_shapes"].list.shape]
        yield node.op, [shape.num_elements() or 0 for shape in shapes]


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize(
    "text",
    [
        *["fgsm", "pgd", "cw", "mim", "bim", "cw_l2", "square"],
        *["apgd(objective=targeted_dlr)", "fab", "fab(targeted=False)"],
    ],
)
def test_the_check_grows_with_pixels_or_classes_and_never_with_their_product(parse, text, norm):
    """Ten gigabytes there would be, at this size."""
    (member,) = members_of(parse(text)[0], CLASSES)
    concrete = trace(member, Threat(norm, 0.03), IMAGENET, CLASSES)
    assert not concrete.captured_inputs
    sizes = [(op, size) for op, found in nodes(concrete) for size in found]
    assert max(size for _, size in sizes) >= math.prod(IMAGENET)
    assert max(size for _, size in sizes) < 1e8
    assert sum(size for op, size in sizes if op == "Const") < 1e6


def test_what_cannot_run_is_refused_all_the_same(parse):
    with pytest.raises(UserError, match="H and W at least 3"):
        check_attacks(parse("fgsm", "square"), Threat("l2", 0.5), (2, 2, 1), 10)
    with pytest.raises(UserError, match="classes"):
        check_attacks(parse("apgd(objective=dlr)"), Threat("l2", 0.5), (4, 4, 1), 2)
