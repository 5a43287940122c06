"""The package where users have it: in a checkout, in an environment, in a folder of their own."""

import os
import pathlib
import re
import subprocess
import sys
import zipfile

import pytest

ROOT = pathlib.Path(__file__).parent.parent
COMMANDS = ("train", "evaluate", "export", "study", "benchmark")


def python(*arguments, folder, path):
    """Runs Python in a folder; `path` is where it finds the package."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(path)},
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    copy = folder / "source"  # a build leaves folders beside what it builds
    names = ("anchor_tf", "flags", "pipelines", "pyproject.toml", "README.md", "LICENSE")
    copy.mkdir()
    subprocess.run(["cp", "-R", *(str(ROOT / name) for name in names), str(copy)], check=True)
    build = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([sys.executable, *build, "--wheel-dir", folder, copy], check=True)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel):
    """A folder that holds what an installation of the wheel leaves in site-packages."""
    folder = wheel.parent / "site-packages"
    zipfile.ZipFile(wheel).extractall(folder)
    return folder


@pytest.fixture
def own_names(tmp_path):
    """A folder with a module called flags and a package called pipelines."""
    (tmp_path / "pipelines").mkdir()
    for path in (tmp_path / "flags.py", tmp_path / "pipelines" / "__init__.py"):
        path.write_text("raise SystemExit('imported by mistake')")
    return tmp_path


def test_a_wheel_puts_nothing_beside_the_package(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not re.fullmatch(r"anchor_tf-.*\.dist-info", top)} == {
        "anchor_tf"
    }
    for part in ("flags", "pipelines"):
        ours = {str(p.relative_to(ROOT)) for p in (ROOT / part).rglob("*.py")}
        assert {f"anchor_tf/{path}" for path in ours} <= set(names)
    recipes = {f"anchor_tf/flags/recipes/{p.name}" for p in (ROOT / "flags/recipes").iterdir()}
    assert recipes <= set(names)


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_start_beside_other_modules_of_these_names(command, own_names):
    result = python("-m", f"anchor_tf.{command}", "--no_such_flag", folder=own_names, path=ROOT)
    assert result.returncode == 2
    assert "no_such_flag" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_an_installed_wheel_trains_beside_other_modules_of_these_names(own_names, installed):
    result = python(
        *("-m", "anchor_tf.train", "--method=pgd_at", "--workdir=run", "--epochs=1"),
        *("--train_examples=64", "--batch_size=32", "--attack_steps=1"),
        *("--examples=20", "--attacks=fgsm"),
        folder=own_names,
        path=installed,
    )
    assert result.returncode == 0, result.stderr
    assert (own_names / "run" / "export" / "1" / "saved_model.pb").exists()
    code = "import anchor_tf; print(anchor_tf.__file__)"
    found = python("-c", code, folder=own_names, path=installed)
    assert found.stdout.strip() == str(installed / "anchor_tf" / "__init__.py")
