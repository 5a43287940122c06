"""What the source text of plug-ins says of them; nothing is imported."""

import ast
import dataclasses
import functools
import importlib.util
import pathlib


@dataclasses.dataclass(frozen=True)
class Parameter:
    """A keyword-only parameter of a plug-in: its annotation, and whether it must be given."""

    name: str
    annotation: ast.expr | None
    required: bool


@dataclasses.dataclass(frozen=True)
class Entry:
    """A plug-in.

    Attributes:
        callable: name of its function or class.
        parameters: what a spec may give.
        functions: definitions whose first statements check the arguments: that of the callable
            first.
    """

    callable: str
    parameters: list[Parameter]
    functions: list[ast.FunctionDef]


@functools.lru_cache
def entries(family: str) -> dict[str, Entry]:
    """The plug-ins of a package, by the names of their modules."""
    package = importlib.util.find_spec(family)
    found = {}
    for folder in package.submodule_search_locations:
        for path in pathlib.Path(folder).glob("*.py"):
            module = ast.parse(path.read_text(encoding="utf-8"))
            for node in module.body:
                if not isinstance(node, ast.FunctionDef | ast.ClassDef):
                    continue
                if node.name.replace("_", "").lower() == path.stem.replace("_", ""):
                    found[path.stem] = _entry(node, module)
    return found


def _entry(node: ast.FunctionDef | ast.ClassDef, module: ast.Module) -> Entry:
    if isinstance(node, ast.ClassDef):
        functions = _functions(node.body, "__init__")
    else:
        functions = [node, *_functions(module.body, "rounds")]
    return Entry(node.name, _parameters(functions[0]) if functions else [], functions)


def _functions(body: list[ast.stmt], name: str) -> list[ast.FunctionDef]:
    return [node for node in body if isinstance(node, ast.FunctionDef) and node.name == name]


def _parameters(function: ast.FunctionDef) -> list[Parameter]:
    arguments = function.args
    return [
        Parameter(argument.arg, argument.annotation, default is None)
        for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    ]
