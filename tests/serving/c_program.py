"""answer.c compiled, started and spoken to."""

import pathlib
import shutil
import subprocess

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

_SOURCE = pathlib.Path(__file__).parent / "answer.c"
_LIBRARIES = ("libtensorflow_cc.so.2", "libtensorflow_framework.so.2")


def missing() -> str | None:
    """Why the program cannot be made here, if it cannot."""
    if shutil.which("gcc") is None:
        return "no gcc to compile against TensorFlow's C API with"
    for name in _LIBRARIES:
        if not (pathlib.Path(tf.sysconfig.get_lib()) / name).exists():
            return f"this TensorFlow comes without {name}"
    return None


def compiled(folder: pathlib.Path) -> pathlib.Path:
    """The program, in a folder."""
    program, library = folder / "answer", tf.sysconfig.get_lib()
    # The library has half a million symbols: the usual linker takes seconds over them.
    linker = ["-fuse-ld=gold"] if shutil.which("ld.gold") else []
    subprocess.run(
        [
            "gcc", *linker, "-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror",
            f"-I{tf.sysconfig.get_include()}", str(_SOURCE), "-o", str(program),
            f"-L{library}", *(f"-l:{name}" for name in _LIBRARIES), f"-Wl,-rpath,{library}",
        ],
        check=True,
    )  # fmt: skip
    return program


def command(program, version: pathlib.Path, signature: str, request, folder: pathlib.Path):
    """The command line that asks a signature, and the names of its outputs in the answer.

    Args:
        program: what `compiled` returned.
        version: folder of the SavedModel.
        signature: its name; one input.
        request: float32 [B, ...], or a list of bytes.
        folder: where request and answer lie.
    """
    saved = saved_model_pb2.SavedModel.FromString((version / "saved_model.pb").read_bytes())
    definition = saved.meta_graphs[0].signature_def[signature]
    ((_, fed),) = definition.inputs.items()
    outputs = {name: definition.outputs[name].name for name in sorted(definition.outputs)}
    (folder / "request").write_bytes(_encoded(request))
    files = [str(version), str(folder / "request"), str(folder / "answer.bin")]
    return [str(program), *files, fed.name, *outputs.values()], list(outputs)


def answer(folder: pathlib.Path, names: list[str]) -> dict[str, np.ndarray]:
    """The outputs that the program wrote."""
    found = {}
    with open(folder / "answer.bin", "rb") as file:
        for name in names:
            kind, _, *shape = map(int, file.readline().split())
            dtype = tf.dtypes.as_dtype(kind).as_numpy_dtype
            count = int(np.prod(shape))
            content = file.read(count * np.dtype(dtype).itemsize)
            found[name] = np.frombuffer(content, dtype).reshape(shape)
        assert not file.read()
    return found


def _encoded(request) -> bytes:
    if isinstance(request, list):
        lengths = " ".join(str(len(one)) for one in request)
        return f"strings {len(request)} {lengths}\n".encode() + b"".join(request)
    shape = " ".join(map(str, request.shape))
    return f"floats {request.ndim} {shape}\n".encode() + request.astype("<f4").tobytes()
