"""Models from anyone: whole, or refused in one line; nothing in them is run.

The short version mutates 15 files; `HOSTILE=full` 300.
"""

import contextlib
import json
import os
import random
import shutil
import zipfile

import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from anchor_tf.errors import UserError
from anchor_tf.models import graph_check, model_file, model_path
from tests.hostile.mutations import mutate
from tests.hostile.refusals import refuse

MUTATIONS = 300 if os.environ.get("HOSTILE") == "full" else 15


def foreign(module, name, settings):
    return {"module": module, "class_name": name, "config": settings, "registered_name": None}


@pytest.mark.parametrize(
    ("module", "name", "settings"),
    [
        ("os", "system", {"command": "touch {target}"}),
        ("subprocess", "Popen", {"args": ["touch", "{target}"]}),
        ("builtins", "open", {"file": "{target}", "mode": "w"}),
        ("pathlib", "Path", {"args": "{target}"}),
        ("keras.config", "enable_unsafe_deserialization", {}),
        ("keras.layers", "TFSMLayer", {"filepath": "{program}"}),
        ("tests.hostile.conftest", "Payload", {"target": "{target}"}),
    ],
)
@pytest.mark.parametrize("nested", [False, True])
def test_a_keras_file_cannot_name_what_is_to_run(hostile, patched, module, name, settings, nested):
    target, program = hostile / "written" / "keras", hostile / "program"
    text = json.dumps(foreign(module, name, settings))
    layer = json.loads(text.replace("{target}", str(target)).replace("{program}", str(program)))

    def change(content):
        if not nested:
            return layer
        content["config"]["layers"].append({**layer, "name": "x", "inbound_nodes": []})
        return content

    refuse(model_file.load, patched(change), named="patched.keras cannot be read")
    assert not list((hostile / "written").iterdir())


def test_a_program_that_would_end_the_process_is_refused(tmp_path):
    module = tf.Module()

    def serve(images):
        with tf.control_dependencies([tf.raw_ops.Abort(exit_without_error=True)]):
            return {"logits": tf.identity(images)}

    module.serve = tf.function(serve, [tf.TensorSpec([None, 4], name="images")], autograph=False)
    tf.saved_model.save(module, str(tmp_path), module.serve)
    refuse(model_file.load, tmp_path, named="Abort")


def test_lambdas_and_programs_are_refused(hostile):
    refuse(model_file.load, hostile / "lambda.keras", named="Lambda")
    refuse(model_file.load, hostile / "program", named="WriteFile")
    refuse(model_file.load, hostile / "damaged", named="damaged")
    assert not list((hostile / "written").iterdir())
    # The control: without the check the program would have written.
    program = tf.saved_model.load(str(hostile / "program")).signatures["serving_default"]
    program(images=tf.zeros([1, 8, 8, 1]))
    (hostile / "written" / "program").unlink()


def test_the_saver_of_a_model_may_not_be_called_by_its_signatures(run, tmp_path):
    shutil.copytree(run / "export" / "1", tmp_path / "model")
    graph_check.check(tmp_path / "model")
    path = tmp_path / "model" / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    library = saved.meta_graphs[0].graph_def.library.function
    saver = next(f for f in library if f.signature.name.startswith("__inference__traced_save"))
    serve = next(f for f in library if "serve_bytes" in f.signature.name)
    node = serve.node_def.add(name="more", op="StatefulPartitionedCall")
    node.attr["f"].func.name = saver.signature.name
    path.write_bytes(saved.SerializeToString())
    refuse(graph_check.check, tmp_path / "model", named="reaches beyond the model")


def test_mutated_models_are_refused_or_whole(run, tmp_path):
    random_ = random.Random(4)
    whole = (run / "model.keras").read_bytes()
    path = tmp_path / "mutated.keras"
    refused = 0
    for _ in range(MUTATIONS):
        path.write_bytes(mutate(random_, whole))
        try:
            model_file.load(path)
        except UserError as error:
            refused += "mutated.keras" in str(error) and "\n" not in str(error)
    assert refused > MUTATIONS // 3


def test_mutated_saved_models_are_refused_or_whole(run, tmp_path):
    random_ = random.Random(5)
    refused = 0
    for number in range(MUTATIONS // 3):
        folder = tmp_path / str(number)
        shutil.copytree(run / "export" / "1", folder)
        files = ("saved_model.pb", "variables/variables.index")
        path = folder / random_.choice(files)
        path.write_bytes(mutate(random_, path.read_bytes()))
        try:
            model_file.load(folder)
        except UserError as error:
            refused += str(folder) in str(error) and "\n" not in str(error)
    assert refused > MUTATIONS // 9


def test_paths_that_are_no_model(hostile, tmp_path):
    for path in (hostile / "garbage.npz", hostile / "whole.npz", hostile / "half.keras"):
        refuse(model_path.check, path, named=f"{path.name} cannot be read as a Keras model")
    (tmp_path / "7").mkdir()
    refuse(model_path.check, tmp_path, named="saved_model.pb")


@pytest.mark.filterwarnings("ignore:Skipping invalid path")
def test_a_member_cannot_leave_its_archive(run, tmp_path):
    path = tmp_path / "in" / "in" / "model.keras"
    path.parent.mkdir(parents=True)
    shutil.copy(run / "model.keras", path)
    with zipfile.ZipFile(path, "a") as file:
        for name in ("../../outside", str(tmp_path / "absolute"), "assets/../../../outside"):
            file.writestr(name, "x")
    with contextlib.suppress(UserError):  # whether they are in the way or not
        model_file.load(path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["in"]
