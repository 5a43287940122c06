"""Spec strings: `"pgd(steps=20)"` names a module of a family and its keyword arguments.

A family is a package whose modules each hold one public callable with the module's name (`pgd` in
`attacks/pgd.py`, `PGDAT` in `methods/pgd_at.py`); its keyword-only parameters are the arguments a
spec may give. Names and arguments are checked against the source text, so that a mistake is found
before TensorFlow is imported: types against the annotations, ranges by the checks at the top of the
callable, or of the function `rounds` beside it.
"""

import ast
import dataclasses
import importlib
import inspect
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from anchor_tf import argument_checks, plugins
from anchor_tf.choices import nearest
from anchor_tf.errors import UserError

_OPENING, _CLOSING = "([{", ")]}"


@dataclasses.dataclass(frozen=True)
class Spec:
    """A parsed spec.

    Attributes:
        name: module name within its family.
        arguments: keyword arguments, as Python values.
        text: the spec as given, without spaces outside quotes.
    """

    name: str
    arguments: Mapping[str, Any]
    text: str


def arguments_of(plugin: Callable, spec: Spec) -> dict[str, Any]:
    """The keyword arguments a plug-in runs with: its defaults, and what the spec gives."""
    parameters = inspect.signature(plugin).parameters.values()
    defaults = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
    return {**defaults, **spec.arguments}


def split(text: str) -> list[str]:
    """Splits a comma-separated list on its top-level commas, dropping empty items.

    Raises:
        UserError: a bracket or quote is not closed.
    """
    items, depth, quote, start = [], 0, "", 0
    for position, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in _OPENING:
            depth += 1
        elif character in _CLOSING:
            depth -= 1
            if depth < 0:
                break
        elif character == "," and depth == 0:
            items.append(text[start:position])
            start = position + 1
    if depth or quote:
        raise UserError(f"{text!r}: a bracket or quote is not closed")
    items.append(text[start:])
    return [item.strip() for item in items if item.strip()]


def parse(text: str) -> Spec:
    """Parses one spec such as `"pgd(steps=20, step_size=2/255)"`.

    A value is a Python literal, a fraction a/b, or else its raw text.

    Raises:
        UserError: the text is not of the form NAME or NAME(KEY=VALUE, ...).
    """
    match = re.fullmatch(r"\s*([A-Za-z_][\w./:-]*)\s*(?:\((.*)\))?\s*", text, re.DOTALL)
    if not match:
        raise UserError(f"{text!r} is not a spec: write NAME or NAME(KEY=VALUE, ...)")
    arguments, canonical = {}, []
    for item in split(match[2] or ""):
        key, equals, raw = (part.strip() for part in item.partition("="))
        if not equals or not key.isidentifier() or not raw:
            raise UserError(f"{text!r}: {item!r} should be KEY=VALUE")
        if key in arguments:
            raise UserError(f"{text!r}: {key} is given twice")
        arguments[key] = parse_value(raw)
        canonical.append(f"{key}={raw}")
    suffix = f"({','.join(canonical)})" if canonical else ""
    return Spec(match[1], arguments, match[1] + suffix)


def parse_value(raw: str) -> Any:
    """Turns the text of a value into a literal, a fraction or, failing both, itself."""
    fraction = re.fullmatch(r"([-+]?[\d.]+(?:[eE][-+]?\d+)?)/([\d.]+)", raw)
    try:
        if fraction:
            return float(fraction[1]) / float(fraction[2])
        return ast.literal_eval(raw)
    except (ValueError, TypeError, SyntaxError, ZeroDivisionError, MemoryError, RecursionError):
        return raw


def known(family: str) -> list[str]:
    """Names of the plug-ins in a package, sorted, without importing any."""
    return sorted(plugins.entries(family))


def check(spec: Spec, family: str, kind: str) -> Spec:
    """Checks a spec against the plug-ins of a family and gives its values their declared types.

    Args:
        spec: what `parse` returned.
        family: package, `"anchor_tf.attacks"` for example.
        kind: what to call a member in messages, `"attack"` for example.

    Raises:
        UserError: unknown name or argument, missing argument, or a value of the wrong type or out
            of range.
    """
    entries = plugins.entries(family)
    if spec.name not in entries:
        raise UserError(f"unknown {kind} {spec.name!r}: {nearest(spec.name, sorted(entries))}")
    entry = entries[spec.name]
    parameters = {parameter.name: parameter for parameter in entry.parameters}
    for key in spec.arguments:
        if key not in parameters:
            options = nearest(key, list(parameters)) if parameters else "it takes none"
            raise UserError(f"{kind} {spec.name} has no argument {key!r}: {options}")
    missing = [p.name for p in parameters.values() if p.required and p.name not in spec.arguments]
    if missing:
        raise UserError(f"{kind} {spec.name} needs {missing[0]}=...: {spec.name}({missing[0]}=...)")
    typed = {
        key: _typed(spec, key, value, parameters[key].annotation, kind)
        for key, value in spec.arguments.items()
    }
    refusal = argument_checks.refusal(entry.functions, typed)
    if refusal is not None:
        raise UserError(refusal if spec.name in refusal else f"{kind} {spec.name}: {refusal}")
    return dataclasses.replace(spec, arguments=typed)


def check_list(text: str, family: str, kind: str) -> list[Spec]:
    """Splits, parses and checks a comma-separated list of specs; see `check`."""
    return [check(parse(item), family, kind) for item in split(text)]


def resolved(spec: Spec, family: str) -> tuple[str, dict[str, Any]]:
    """What a checked spec comes to, however it is written: its name, and all its arguments."""
    functions = plugins.entries(family)[spec.name].functions
    defaults = argument_checks.defaults(functions[0]) if functions else {}
    return spec.name, {**defaults, **spec.arguments}


def refuse_duplicates(found: Sequence[Spec], family: str, kind: str) -> None:
    """Refuses a list of checked specs in which two come to the same.

    Raises:
        UserError: there are two such; both are named.
    """
    listed = [resolved(spec, family) for spec in found]
    for place, (spec, one) in enumerate(zip(found, listed, strict=True)):
        if one in listed[:place]:
            former = found[listed.index(one)].text
            if former == spec.text:
                raise UserError(f"{kind} {spec.text} is listed twice")
            raise UserError(f"{kind} {former} is listed twice: {spec.text} is the same")


def load(spec: Spec, family: str) -> Callable:
    """Imports the plug-in that a checked spec names and returns its callable."""
    module = importlib.import_module(f"{family}.{spec.name}")
    return getattr(module, plugins.entries(family)[spec.name].callable)


def _typed(spec: Spec, key: str, value: Any, annotation: ast.expr | None, kind: str) -> Any:
    """Returns the value in the type that the annotation asks for, or raises UserError."""
    if annotation is None:
        return value
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"{kind} {spec.name}: {key}={_raw(spec, key)} should be a finite number")
    for option in _options(annotation):
        if option == "str" and not isinstance(value, str) and value is not None:
            return _raw(spec, key)
        if option == "float" and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        if option in ("None", "bool", "int", "float", "str"):
            if type(value).__name__ == {"None": "NoneType"}.get(option, option):
                return value
        elif value == ast.literal_eval(option) and type(value) is type(ast.literal_eval(option)):
            return value
    wanted = " or ".join(_options(annotation))
    raise UserError(f"{kind} {spec.name}: {key}={_raw(spec, key)} should be {wanted}")


def _options(annotation: ast.expr) -> list[str]:
    """Flattens `int | None` and `Literal["a", "b"]` into the source text of each alternative."""
    if isinstance(annotation, ast.BinOp):
        return _options(annotation.left) + _options(annotation.right)
    if isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value) == "Literal":
        values = annotation.slice
        return [
            ast.unparse(v) for v in (values.elts if isinstance(values, ast.Tuple) else [values])
        ]
    return [ast.unparse(annotation)]


def _raw(spec: Spec, key: str) -> str:
    """The text of an argument as the user wrote it."""
    inside = spec.text[len(spec.name) + 1 : -1]
    return next(i.partition("=")[2] for i in split(inside) if i.partition("=")[0].strip() == key)
