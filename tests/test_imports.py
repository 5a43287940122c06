"""Imports run one way, and nothing of ours imports TensorFlow before the flags are checked."""

import ast
import graphlib
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent
MAINS = {"train", "evaluate", "export", "benchmark", "study"}

# What each folder or module of anchor_tf may import: other parts of it, and pipelines.
BASE = {"errors", "files", "keyed_random", "specs", "terminal"}
NETWORKS = {*BASE, "threat", "losses", "backbones"}
METHODS = {*NETWORKS, "devices", "attacks", "methods"}
ALLOWED = {
    "errors": set(),
    "keyed_random": set(),
    "argument_checks": set(),
    "plugins": set(),
    "specs": {"errors", "argument_checks", "plugins"},
    "files": {"errors"},
    "terminal": {"errors"},
    "threat": {"errors", "keyed_random"},
    "config": BASE,
    "checkpoints": {"errors", "files"},
    "tensorboard": {"errors", "files"},
    "losses": {"errors"},
    "backbones": {"errors", "specs"},
    "models": {"errors", "files", "plugins", "backbones"},
    "serving": {"errors", "files"},
    "saved_model": {"errors", "files", "models", "serving"},
    "workdir": {"errors", "files", "checkpoints", "config", "models"},
    "devices": {"errors", "pipelines"},
    "attacks": {*NETWORKS, "models"} - {"backbones"},
    "methods": METHODS - {"methods"},
    "evaluation": {*METHODS, "models", "tensorboard"} - {"methods", "backbones"},
    "reports": {"files", "evaluation"},
    "callbacks": {*METHODS, "checkpoints", "tensorboard", "pipelines"},
    "training": {
        *METHODS,
        "callbacks",
        "checkpoints",
        "config",
        "models",
        "tensorboard",
        "workdir",
        "pipelines",
    },
    "commands": {
        *BASE,
        "config",
        "devices",
        "evaluation",
        "models",
        "reports",
        "tensorboard",
        "threat",
        "workdir",
        "pipelines",
    },
    "studies": {
        *METHODS,
        "config",
        "models",
        "reports",
        "tensorboard",
        "workdir",
        "pipelines",
    },
}
# What pipelines may import of anchor_tf.
FOUNDATION = {
    "anchor_tf.errors",
    "anchor_tf.specs",
    "anchor_tf.keyed_random",
    "anchor_tf.files.archives",
    "anchor_tf.terminal.console",
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
    return {name for name in names if name.split(".")[0] in ("anchor_tf", "flags", "pipelines")}


def files(package: str):
    return sorted((ROOT / package).rglob("*.py"))


def part_of(module: str) -> str:
    """The folder or module of anchor_tf that a module belongs to; "pipelines", "flags" as such."""
    top, _, rest = module.partition(".")
    return rest.split(".")[0] if top == "anchor_tf" else top


@pytest.mark.parametrize("path", files("anchor_tf"), ids=lambda path: str(path.relative_to(ROOT)))
def test_anchor_tf_imports_one_way(path):
    part = path.relative_to(ROOT / "anchor_tf").parts[0].removesuffix(".py")
    if part in {*MAINS, "__init__"}:
        return
    found = {part_of(name) for name in imported(path)} - {part}
    assert found - {""} <= ALLOWED[part]
    assert "" not in found or part == "reports", "the version alone is taken from anchor_tf itself"


def test_no_two_parts_import_each_other():
    graphlib.TopologicalSorter(ALLOWED).prepare()  # raises where there is a circle


@pytest.mark.parametrize("path", files("flags"), ids=lambda path: path.name)
def test_flags_import_flags_alone(path):
    assert {name.split(".")[0] for name in imported(path)} <= {"flags"}


@pytest.mark.parametrize("path", files("pipelines"), ids=lambda path: str(path.relative_to(ROOT)))
def test_pipelines_import_only_the_foundation(path):
    ours = {name for name in imported(path) if not name.startswith("pipelines")}
    assert ours <= FOUNDATION


def test_flags_are_read_in_mains_only():
    readers = [p for p in files("anchor_tf") + files("pipelines") if ".FLAGS" in p.read_text()]
    assert [path.stem for path in readers] == ["command_line"]
    importers = [
        p.stem for p in files("anchor_tf") if any(n.split(".")[0] == "flags" for n in imported(p))
    ]
    assert set(importers) == MAINS


@pytest.mark.parametrize("main", sorted(MAINS))
def test_mains_start_without_tensorflow(main):
    code = f"import sys, anchor_tf.{main}; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
