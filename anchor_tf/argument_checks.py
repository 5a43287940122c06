"""The range checks at the top of a plug-in, made on its source text before it is imported."""

import ast
import builtins
from collections.abc import Mapping, Sequence
from typing import Any

_BUILTINS = {name: getattr(builtins, name) for name in ("abs", "divmod", "len", "max", "min")}


def refusal(functions: Sequence[ast.FunctionDef], arguments: Mapping[str, Any]) -> str | None:
    """What functions would say if they refused their arguments at once.

    Only statements that read nothing but the arguments are considered: assignments, and
    `if ...: raise UserError(...)`. What else the functions check shows when they are called.

    Args:
        functions: definitions; the first has the defaults of all.
        arguments: keyword-only ones, those that are given.

    Returns:
        The message of the first UserError, or None.
    """
    for function in functions:
        message = _refusal(function, {**defaults(functions[0]), **arguments})
        if message is not None:
            return message
    return None


def _refusal(function: ast.FunctionDef, names: dict[str, Any]) -> str | None:
    for statement in function.body:
        if not _stands_alone(statement, names):
            for name in _names(statement, ast.Store):
                names.pop(name, None)
        elif isinstance(statement, ast.Assign):
            _run(statement, names)
        elif _value(statement.test, names):
            for before in statement.body[:-1]:
                _run(before, names)
            return _value(_message(statement), names)
    return None


def defaults(function: ast.FunctionDef) -> dict[str, Any]:
    """Defaults of keyword-only arguments, those that are numbers, texts, None and the like."""
    arguments = function.args
    pairs = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    return {
        argument.arg: _value(default, {})
        for argument, default in pairs
        if isinstance(default, ast.Constant | ast.UnaryOp | ast.BinOp)  # a number such as 4 / 3
        and not _names(default, ast.Load)
    }


def _message(statement: ast.stmt) -> ast.expr | None:
    """The text of the UserError that an `if` without `else` ends in."""
    if not isinstance(statement, ast.If) or statement.orelse:
        return None
    match statement.body[-1]:
        case ast.Raise(exc=ast.Call(func=ast.Name(id="UserError"), args=[text])):
            return text
    return None


def _stands_alone(statement: ast.stmt, names: Mapping[str, Any]) -> bool:
    """Whether a statement is of a kind that is considered and reads known names alone."""
    if not isinstance(statement, ast.Assign) and _message(statement) is None:
        return False
    if any(isinstance(node, ast.Attribute | ast.Lambda) for node in ast.walk(statement)):
        return False
    stored = _names(statement, ast.Store) if isinstance(statement, ast.If) else set()
    return _names(statement, ast.Load) <= {*names, *_BUILTINS, *stored, "UserError"}


def _names(statement: ast.stmt, context: type) -> set[str]:
    nodes = (node for node in ast.walk(statement) if isinstance(node, ast.Name))
    return {node.id for node in nodes if isinstance(node.ctx, context)}


def _run(statement: ast.stmt, names: dict[str, Any]) -> None:
    module = ast.Module([statement], type_ignores=[])
    exec(compile(module, "<check>", "exec"), {"__builtins__": _BUILTINS}, names)


def _value(expression: ast.expr, names: dict[str, Any]) -> Any:
    code = compile(ast.Expression(expression), "<check>", "eval")
    return eval(code, {"__builtins__": _BUILTINS}, names)
