"""Imports run one way, and nothing of ours imports TensorFlow before the flags are checked."""

import ast
import graphlib
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent
MAINS = {"train", "evaluate", "export", "benchmark", "study"}

# What each folder or module of anchor_tf imports: other parts of it, and pipelines. The mains may
# import all of it.
IMPORTS = {
    "errors": "",
    "keyed_random": "",
    "argument_checks": "",
    "choices": "errors",
    "plugins": "",
    "registration": "",
    "specs": "errors argument_checks choices plugins",
    "files": "errors",
    "terminal": "errors",
    "tensorboard": "files",
    "checkpoints": "errors files",
    "config": "errors files",
    "devices": "errors choices pipelines",
    "threat": "errors choices keyed_random",
    "losses": "errors",
    "backbones": "errors choices",
    "models": "errors files plugins",
    "images": "",
    "serving": "files images",
    "saved_model": "errors files models serving",
    "workdir": "errors files checkpoints config models",
    "attacks": "errors choices specs keyed_random threat losses models",
    "methods": "errors choices keyed_random threat losses backbones attacks devices",
    "callbacks": "errors files terminal tensorboard checkpoints keyed_random losses methods "
    "devices pipelines",
    "training": "errors choices specs terminal config workdir models threat losses attacks methods "
    "devices callbacks checkpoints tensorboard pipelines",
    "evaluation": "errors specs files terminal tensorboard keyed_random threat losses attacks "
    "models devices",
    "reports": "errors specs files config devices evaluation",
    "assessment": "specs terminal tensorboard threat models devices evaluation reports pipelines",
    "setup": "errors specs config workdir models devices pipelines",
    "studies": "errors specs files terminal tensorboard config workdir models threat backbones "
    "methods reports pipelines",
}
# What pipelines may import of anchor_tf.
FOUNDATION = {
    "anchor_tf.errors",
    "anchor_tf.choices",
    "anchor_tf.specs",
    "anchor_tf.keyed_random",
    "anchor_tf.files.archives",
    "anchor_tf.images.decode",
    "anchor_tf.images.encoded_image",
    "anchor_tf.images.rules",
    "anchor_tf.terminal.child_process",
}


def imported(path: pathlib.Path) -> set[str]:
    """Modules that a file imports, as dotted names; `from a import b` counts as a.b if a module."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                module = f"{node.module}.{alias.name}"
                found = (ROOT / module.replace(".", "/")).with_suffix(".py").exists()
                found |= (ROOT / module.replace(".", "/")).is_dir()
                names.add(module if found else node.module)
    return {name for name in names if name.split(".")[0] == "anchor_tf"}


def files(package: str):
    return sorted((ROOT / package).rglob("*.py"))


def part_of(module: str) -> str:
    """The folder or module of anchor_tf that a module belongs to."""
    return module.partition(".")[2].split(".")[0]


def modules_of(part: str) -> list[pathlib.Path]:
    folder = ROOT / "anchor_tf" / part
    return files(f"anchor_tf/{part}") if folder.is_dir() else [folder.with_suffix(".py")]


def test_every_part_is_known():
    parts = {path.relative_to(ROOT / "anchor_tf").parts[0] for path in files("anchor_tf")}
    assert {part.removesuffix(".py") for part in parts} == {*IMPORTS, *MAINS, "__init__"}


@pytest.mark.parametrize("part", IMPORTS)
def test_a_part_imports_what_it_says(part):
    found = {part_of(name) for path in modules_of(part) for name in imported(path)} - {part}
    if part == "reports":
        found -= {""}  # anchor_tf itself, for its version
    assert found == set(IMPORTS[part].split())


def test_imports_run_one_way():
    graph = {part: names.split() for part, names in IMPORTS.items()}
    graphlib.TopologicalSorter(graph).prepare()  # raises where there is a circle


@pytest.mark.parametrize("path", files("flags"), ids=lambda path: path.name)
def test_flags_import_flags_alone(path):
    assert {part_of(name) for name in imported(path)} <= {"flags"}


@pytest.mark.parametrize("path", files("pipelines"), ids=lambda path: str(path.relative_to(ROOT)))
def test_pipelines_import_only_the_foundation(path):
    ours = {name for name in imported(path) if part_of(name) != "pipelines"}
    assert ours <= FOUNDATION


def test_flags_are_read_in_mains_only():
    readers = [p for p in files("anchor_tf") + files("pipelines") if ".FLAGS" in p.read_text()]
    assert [path.stem for path in readers] == ["command_line"]
    importers = [
        p.stem for p in files("anchor_tf") if any(part_of(n) == "flags" for n in imported(p))
    ]
    assert set(importers) == MAINS


def test_mains_are_imported_together_and_define_no_flag():
    names = ", ".join(f"anchor_tf.{main}" for main in sorted(MAINS))
    code = f"import sys, {names}; from absl import flags; sys.exit('seed' in flags.FLAGS)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize("main", sorted(MAINS))
def test_mains_start_without_tensorflow(main):
    code = f"import sys, anchor_tf.{main}; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
