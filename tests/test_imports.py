"""Imports run one way, and nothing of ours imports TensorFlow before the flags are checked."""

import ast
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent
MAINS = {"train", "evaluate", "export", "benchmark", "study"}

# What each part of anchor_tf may import; a module stands for itself, a package for what it holds.
FOUNDATION = {
    "anchor_tf.errors",
    "anchor_tf.specs",
    "anchor_tf.keyed_random",
    "anchor_tf.archives",
    "anchor_tf.console",
}
SPECS = {"anchor_tf.errors", "anchor_tf.argument_checks", "anchor_tf.plugins"}
BASE = {*FOUNDATION, "anchor_tf.atomic", "anchor_tf.durations"}
NETWORKS = {*BASE, "anchor_tf.threat", "anchor_tf.losses", "anchor_tf.backbones"}
METHODS = {*NETWORKS, "anchor_tf.attacks", "anchor_tf.methods", "anchor_tf.precision"}
ALLOWED = {
    "errors": set(),
    "console": set(),
    "atomic": set(),
    "durations": set(),
    "interruption": set(),
    "history_file": set(),
    "lock": {"anchor_tf.atomic", "anchor_tf.errors"},
    "phase": set(),
    "checkpoints": {*BASE, "anchor_tf.checkpoints"},
    "archives": {"anchor_tf.errors"},
    "argument_checks": set(),
    "plugins": set(),
    "specs": SPECS,
    "keyed_random": set(),
    "threat": BASE,
    "losses": {*BASE, "anchor_tf.losses"},
    "backbones": {*BASE, "anchor_tf.backbones"},
    "attacks": {
        *NETWORKS,
        "anchor_tf.attacks",
        "anchor_tf.model_file",
        "anchor_tf.model_path",
    }
    - {"anchor_tf.backbones"},
    "methods": METHODS,
    "evaluation": {
        *METHODS,
        "anchor_tf",
        "anchor_tf.distribution",
        "anchor_tf.evaluation",
        "anchor_tf.model_file",
        "anchor_tf.projector",
    }
    - {"anchor_tf.methods"},
    "config": BASE,
    "workdir": {
        *BASE,
        "anchor_tf",
        "anchor_tf.checkpoints",
        "anchor_tf.config",
        "anchor_tf.model_path",
    },
    "command_line": BASE,
    "callbacks": {
        *METHODS,
        "anchor_tf.callbacks",
        "anchor_tf.checkpoints",
        "anchor_tf.distribution",
        "anchor_tf.history_file",
        "anchor_tf.interruption",
        "anchor_tf.mosaic",
        "anchor_tf.projector",
        "pipelines",
    },
    "mosaic": set(),
    "summary_file": BASE,
    "projector": {*BASE, "anchor_tf.mosaic", "anchor_tf.summary_file"},
    "request_images": BASE,
    "saved_model": {
        *BASE,
        "anchor_tf.model_file",
        "anchor_tf.model_path",
        "anchor_tf.request_images",
        "anchor_tf.warm_up",
    },
    "warm_up": set(),
    "tflite_model": {"anchor_tf.atomic"},
    "model_path": BASE,
    "graph_check": BASE,
    "report_file": BASE,
    "reproduction": {"anchor_tf.config"},
    "refusals": {*BASE, "anchor_tf.cluster"},
    "model_file": {
        *BASE,
        "anchor_tf.backbones",
        "anchor_tf.graph_check",
        "anchor_tf.model_path",
        "anchor_tf.plugins",
    },
    "initialization": {
        *BASE,
        "anchor_tf.model_path",
        "anchor_tf.config",
        "anchor_tf.workdir",
        "pipelines",
    },
    "preparation": {
        *BASE,
        "anchor_tf",
        "anchor_tf.config",
        "anchor_tf.initialization",
        "anchor_tf.refusals",
        "pipelines",
    },
    "cluster": {*BASE},
    "precision": {*BASE},
    "distribution": {*BASE, "anchor_tf.cluster", "pipelines"},
    "memory": set(),
    "throughput": {
        *METHODS,
        "anchor_tf.memory",
        "anchor_tf.distribution",
        "anchor_tf.training_loop",
        "pipelines",
    },
    "training_loop": {*METHODS, "anchor_tf.distribution", "pipelines"},
    "construction": {
        *METHODS,
        "anchor_tf.distribution",
        "anchor_tf.config",
        "anchor_tf.model_file",
        "anchor_tf.workdir",
        "pipelines",
    },
    "training_run": {
        "anchor_tf.callbacks",
        "anchor_tf.config",
        "anchor_tf.distribution",
        "anchor_tf.interruption",
        "pipelines",
    },
    "training": {
        *METHODS,
        "anchor_tf.distribution",
        "anchor_tf.training_loop",
        "anchor_tf.training_run",
        "anchor_tf.callbacks",
        "anchor_tf.checkpoints",
        "anchor_tf.phase",
        "anchor_tf.watching",
        "pipelines",
    },
    "watching": {
        *METHODS,
        "anchor_tf.callbacks",
        "anchor_tf.checkpoints",
        "anchor_tf.phase",
        "anchor_tf.projector",
        "anchor_tf.training_run",
        "pipelines",
    },
    "phases": {
        *METHODS,
        "anchor_tf",
        "anchor_tf.construction",
        "anchor_tf.distribution",
        "anchor_tf.model_file",
        "anchor_tf.phase",
        "anchor_tf.training",
        "anchor_tf.training_run",
        "anchor_tf.workdir",
    },
    "studies": {
        *METHODS,
        "anchor_tf.command_line",
        "anchor_tf.config",
        "anchor_tf.evaluation",
        "anchor_tf.history_file",
        "anchor_tf.interruption",
        "anchor_tf.lock",
        "anchor_tf.model_path",
        "anchor_tf.report_file",
        "anchor_tf.studies",
        "anchor_tf.summary_file",
        "anchor_tf.workdir",
        "pipelines",
    },
    "assessment": {
        *BASE,
        "anchor_tf.distribution",
        "anchor_tf.evaluation",
        "anchor_tf.machine",
        "anchor_tf.model_path",
        "anchor_tf.projector",
        "anchor_tf.threat",
        "pipelines",
    },
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


@pytest.mark.parametrize("path", files("anchor_tf"), ids=lambda path: str(path.relative_to(ROOT)))
def test_anchor_tf_imports_one_way(path):
    part = path.relative_to(ROOT / "anchor_tf").parts[0].removesuffix(".py")
    if part in {*MAINS, "__init__"}:
        return
    for name in imported(path):
        allowed = any(
            name == entry or name.startswith(f"{entry}.") for entry in ALLOWED[part] - {"anchor_tf"}
        )
        assert allowed or (name == "anchor_tf" and name in ALLOWED[part]), f"{path} imports {name}"


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
