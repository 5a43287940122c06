"""SavedModels are programs: those that would touch files, processes or the network are refused."""

import pathlib
import re
from collections.abc import Iterable

from tensorflow.core.protobuf import saved_model_pb2

from anchor_tf.errors import UserError

# Names of operations; none of them has a place between images and logits.
_REFUSED = re.compile(
    "File|Reader|Dataset|Iterator|Summary|^Save|^Restore|Checkpoint|PyFunc|PrintV2|^Debug|Sql|"
    "LMDB|Remote|Collective|ImmutableConst|Remap|Service|Server|^_?Send$|^_?Recv$|^TPU|TensorRT|"
    "TRTEngine|^Assert.*Server|CompileAndRun|^Abort$|^(Decode|Encode)Proto"
)
# What every SavedModel holds to save and restore its variables, and what loading never calls.
_SAVER = re.compile(r"__inference__traced_(save|restore)_\d+")


def check(folder: pathlib.Path) -> None:
    """Reads the program of a SavedModel without running it.

    Args:
        folder: holds saved_model.pb.

    Raises:
        UserError: it cannot be read, or holds an operation that does more than compute.
    """
    path = folder / "saved_model.pb"
    try:
        saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    except Exception as error:  # protobuf's DecodeError has no public name
        raise UserError(
            f"{folder} cannot be read as a SavedModel: {path.name} is damaged"
        ) from error
    for graph in saved.meta_graphs:
        for operation in sorted(_operations(graph)):
            if _REFUSED.search(operation):
                raise UserError(
                    f"{folder} is not run: its operation {operation} reaches beyond the model; "
                    "export the model without it"
                )


def _operations(graph) -> set[str]:
    """Kinds of the operations that loading and calling a SavedModel may run.

    The functions that save and restore variables are left out unless something else calls them.
    """
    functions = {f.signature.name: f.node_def for f in graph.graph_def.library.function}
    savers = {name for name in functions if _SAVER.fullmatch(name)}
    saver = {graph.saver_def.save_tensor_name.partition(":")[0], graph.saver_def.restore_op_name}
    nodes = [node for node in graph.graph_def.node if node.name not in saver]
    if _feeds(nodes, saver):
        savers = set()
    for name, body in functions.items():
        if name not in savers:
            nodes += body
    called = {name for node in nodes for name in _called(node)}
    called |= set(graph.object_graph_def.concrete_functions)
    for name in savers & called:
        nodes += functions[name]
    return {node.op for node in nodes}


def _feeds(nodes: Iterable, sources: set[str]) -> bool:
    """Whether any of the nodes reads, or waits for, one of the named nodes."""
    inputs = (name.lstrip("^").partition(":")[0] for node in nodes for name in node.input)
    return not sources.isdisjoint(inputs)


def _called(node) -> set[str]:
    """Functions that a node names."""
    values = node.attr.values()
    listed = [function.name for value in values for function in value.list.func]
    return {value.func.name for value in values if value.func.name} | set(listed) | {node.op}
