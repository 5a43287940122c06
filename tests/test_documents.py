"""Every command in the documents is one that the flags accept."""

import json
import pathlib
import re
import shlex
import subprocess
import sys

import pytest
import yaml

import anchor_tf
from anchor_tf.studies import table_files

ROOT = pathlib.Path(__file__).parent.parent
DOCUMENTS = ("README.md", "BUILD.md", "RESULTS.md")
PLACEHOLDERS = {
    "EPOCHS": "5",
    "DIR": "run",
    "NAME": "anchor_digits",
    "FILE": "file.npz",
    "N": "3",
    "PATH": "m",
}
# Parses command lines as the mains do, up to the first that is refused.
PARSER = """
import importlib, json, sys
from absl import flags
importlib.import_module(f"anchor_tf.flags.{sys.argv[1]}")
for line in json.loads(sys.stdin.read()):
    flags.FLAGS.unparse_flags()
    try:
        rest = flags.FLAGS(["main", *line])
        assert len(rest) == 1, rest
    except Exception as error:
        sys.exit(f"{line}: {error}")
"""


def commands() -> list[tuple[str, list[str]]]:
    """(main, arguments) of each `python -m anchor_tf.MAIN ...`, continued lines joined."""
    found = []
    for name in DOCUMENTS:
        text = re.sub(r"\\\n\s*", " ", (ROOT / name).read_text())
        for line in re.findall(r"python -m (anchor_tf\.\w+.*)", text):
            line = line.split("`")[0].split("  #")[0]
            line = re.sub(r"\b([A-Z]+)\b(?=\.flags|\b)", _filled, line)
            main, *arguments = shlex.split(line)
            if arguments != ["--helpfull"]:
                found.append((main.removeprefix("anchor_tf."), arguments))
    return found


def _filled(match):
    return PLACEHOLDERS.get(match.group(1), match.group(1))


def test_there_are_commands_of_every_main():
    mains = {main for main, _ in commands()}
    assert mains == {"train", "study", "evaluate", "export", "benchmark"}
    assert len(commands()) > 15


@pytest.mark.parametrize("main", ["train", "study", "evaluate", "export", "benchmark"])
def test_every_command_is_accepted(main):
    lines = [arguments for name, arguments in commands() if name == main]
    run = subprocess.run(
        [sys.executable, "-c", PARSER, main],
        cwd=ROOT,
        input=json.dumps(lines),
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr


def test_every_file_that_is_named_is_there():
    for name in DOCUMENTS:
        text = (ROOT / name).read_text()
        for path in re.findall(r"\]\(([^)#:]+)\)", text):
            assert (ROOT / path).exists(), f"{name} names {path}"
        folders = "anchor_tf|flags|pipelines|tests|results|docs"
        for path in re.findall(rf"`((?:{folders})/[\w./]+)`", text):
            if "NAME" not in path and f"saved as `{path}`" not in text:
                assert (ROOT / path).exists(), f"{name} names {path}"


def test_every_table_of_a_study_is_that_of_its_figures():
    text = (ROOT / "RESULTS.md").read_text()
    contents = {path: json.loads(path.read_text()) for path in (ROOT / "results").glob("*.json")}
    studies = {path: content for path, content in contents.items() if "command" in content}
    assert studies
    for path, content in studies.items():
        table = table_files.markdown(content, content["methods"], content["warnings"])
        _, _, body = table.split("\n", 2)  # without the title, which is a heading there
        assert body in text, path


def _accuracies(name: str) -> dict[str, dict[str, float]]:
    """Seed 0's accuracies in %, by entry and attack, of the study in results/NAME.json."""
    rows = json.loads((ROOT / "results" / f"{name}.json").read_text())["methods"]
    assert all(row["runs"][0] == 0 for row in rows)
    return {
        row["method"]: {k: 100 * v["values"][0] for k, v in row["accuracies"].items()}
        for row in rows
    }


def cleads_table() -> list[str]:
    """The lines of C-LEAD's table: networks before and after, three radii and AutoAttack."""
    studies = {"0.03": _accuracies("cifar10_clead")}
    studies |= {radius: _accuracies(f"cifar10_clead_{radius}") for radius in ("0.06", "0.08")}
    autoattack = _accuracies("cifar10_clead_autoattack")
    names = dict.fromkeys(attack for row in autoattack.values() for attack in row)
    assert list(names) == ["clean", "autoattack", "worst case"]
    networks = ("ResNet-18, width 16", "ResNet-34, width 8", "ResNet-50, width 8")
    lines = []
    for place, entry in enumerate(studies["0.03"]):
        cells = [networks[place // 2], ("before", "after")[place % 2]]
        cells.append(f"{studies['0.03'][entry]['clean']:.1f}")
        for attack in ("fgsm", "pgd(steps=20)", "cw(steps=20)"):
            cells += [f"{study[entry][attack]:.1f}" for study in studies.values()]
        cells.append(f"{autoattack[entry]['autoattack']:.1f}")
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def defences_table() -> list[str]:
    """The lines of the comparison of defences: seed 0 of two studies, under AutoAttack as well."""
    lines = []
    for study in ("cifar10", "cifar10_others"):
        attacked, autoattack = _accuracies(study), _accuracies(f"{study}_autoattack")
        for entry, row in attacked.items():
            attacks = ("clean", "pgd(steps=20)", "cw(steps=20)", "worst case")
            cells = [f"`{entry}`", *(f"{row[attack]:.1f}" for attack in attacks)]
            lines.append(f"| {' | '.join(cells)} | {autoattack[entry]['autoattack']:.1f} |")
    return lines


def margin_table() -> list[str]:
    """The lines of the margin's sweep: four attacks at four radii."""
    studies = {2: _accuracies("cifar10_margin")}
    studies |= {step: _accuracies(f"cifar10_margin_{step}_255") for step in (1, 4, 8)}
    lines = []
    for entry in studies[2]:
        cells = [f"`{entry}`", f"{studies[2][entry]['clean']:.1f}"]
        for attack in ("fgsm", "bim", "pgd(steps=20)", "cw(steps=20)"):
            cells += [f"{studies[step][entry][attack]:.1f}" for step in (1, 2, 4, 8)]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


@pytest.mark.parametrize("table", [cleads_table, defences_table, margin_table])
def test_every_table_of_several_studies_is_that_of_their_figures(table):
    assert "\n".join(table()) in (ROOT / "RESULTS.md").read_text()


def test_results_list_every_section_and_link_to_no_other():
    text = (ROOT / "RESULTS.md").read_text()
    sections = re.findall(r"^## (.*)", text, re.MULTILINE)[2:]  # two that say how to read it
    anchors = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in sections}
    assert set(re.findall(r"\]\(#(.*?)\)", text)) == anchors


def test_nothing_is_left_to_fill_in():
    for path in [*(ROOT / name for name in DOCUMENTS), ROOT / "CHANGELOG.md"]:
        assert "@@" not in path.read_text()


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == anchor_tf.__version__
    assert f"## {anchor_tf.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_the_table_of_flags_is_that_of_the_flags():
    made = subprocess.run(
        [sys.executable, "-m", "anchor_tf.flags.table"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert made.stdout == (ROOT / "docs" / "flags.md").read_text()
