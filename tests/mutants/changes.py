"""Every small wrong change of a module: what a tired person might have written instead.

A change is a span of the source and its new text, so that comments, line numbers and layout stay.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

_COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Lt: "<=",
    ast.LtE: "<",
    ast.Gt: ">=",
    ast.GtE: ">",
    ast.Eq: "!=",
    ast.NotEq: "==",
    ast.In: "not in",
    ast.NotIn: "in",
    ast.Is: "is not",
    ast.IsNot: "is",
}
_ARITHMETIC: dict[type[ast.operator], str] = {
    ast.Add: "-", ast.Sub: "+", ast.Mult: "//", ast.Div: "*", ast.FloorDiv: "*", ast.BitOr: "&", ast.BitAnd: "|",
}  # fmt: skip
_NAMES = {"min": "max", "max": "min", "any": "all", "all": "any"}
_SILENT = {"debug", "info", "warning", "error", "exception"}  # a line of the log is for people


@dataclass(frozen=True)
class Change:
    """One wrong change: bytes `start` to `end` of a module become `text`."""

    start: int
    end: int
    text: str
    line: int
    kind: str

    def apply(self, source: bytes) -> bytes:
        """Return the module with the change."""
        return source[: self.start] + self.text.encode() + source[self.end :]

    def key(self, module: str, source: bytes) -> str:
        """Return a name that stays when other lines of the module change."""
        lines = source.split(b"\n")
        here = [module.encode(), lines[self.line - 1], source[self.start : self.end], self.text.encode()]
        column = self.start - (source.rfind(b"\n", 0, self.start) + 1)
        before = lines[: self.line - 1].count(lines[self.line - 1])
        return hashlib.blake2b(b"\0".join([*here, f"{column} {before}".encode()]), digest_size=8).hexdigest()


def changes_of(source: bytes) -> list[Change]:
    """Return every change of a module, in the order of its lines."""
    tree = ast.parse(source)
    starts = [0]
    for line in source.split(b"\n"):
        starts.append(starts[-1] + len(line) + 1)

    def change(node: ast.AST, text: str, kind: str) -> Change:
        return Change(*_span(node, starts), text, node.lineno, kind)  # type: ignore[attr-defined]

    found: list[Change] = []
    for node in _walk(tree):
        found += _of_node(node, source, starts, change)
    return sorted(found, key=lambda one: (one.start, one.text))


def _span(node: ast.AST, starts: list[int]) -> tuple[int, int]:
    return (
        starts[node.lineno - 1] + node.col_offset,  # type: ignore[attr-defined]
        starts[node.end_lineno - 1] + node.end_col_offset,  # type: ignore[attr-defined]
    )


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    """Walk over what runs: no annotations, decorators, docstrings, protocols, log lines or texts of exceptions."""
    for name, value in ast.iter_fields(node):
        if name in {"annotation", "returns", "decorator_list", "keywords", "type_params"} and not (
            name == "keywords" and isinstance(node, ast.Call)
        ):
            continue
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST) or _is_silent(child):
                continue
            yield child
            yield from _walk(child)


def _is_silent(node: ast.AST) -> bool:
    if isinstance(node, ast.Raise | ast.Assert | ast.JoinedStr):
        return True
    if isinstance(node, ast.ClassDef):
        return any(isinstance(base, ast.Name) and base.id == "Protocol" for base in node.bases)
    if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
        return True
    if isinstance(node, ast.Expr):
        call = node.value.value if isinstance(node.value, ast.Await) else node.value
        if isinstance(call, ast.Constant):
            return True
        return isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in _SILENT
    return False


def _of_node(node: ast.AST, source: bytes, starts: list[int], change) -> Iterator[Change]:
    def text(part: ast.AST) -> str:
        start, end = _span(part, starts)
        return source[start:end].decode()

    match node:
        case ast.Compare(left=left, ops=[operator], comparators=[right]) if type(operator) in _COMPARISONS:
            yield change(node, f"{text(left)} {_COMPARISONS[type(operator)]} {text(right)}", "comparison")
        case ast.BoolOp(op=op, values=values):
            word = "or" if isinstance(op, ast.And) else "and"
            yield change(node, "(" + f" {word} ".join(f"({text(one)})" for one in values) + ")", "and, or")
            for left_out in range(len(values)):
                rest = [f"({text(one)})" for number, one in enumerate(values) if number != left_out]
                word = "and" if isinstance(op, ast.And) else "or"
                yield change(node, "(" + f" {word} ".join(rest) + ")", "condition left out")
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield change(node, f"({text(operand)})", "not")
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC and not _is_text(left, right):
            yield change(node, f"({text(left)} {_ARITHMETIC[type(op)]} {text(right)})", "arithmetic")
        case ast.Constant(value=bool() as value):
            yield change(node, str(not value), "constant")
        case ast.Constant(value=int() as value):
            yield change(node, str(value + 1), "constant")
        case ast.If(test=test) | ast.IfExp(test=test) | ast.While(test=test) if not isinstance(test, ast.Constant):
            if not isinstance(test, ast.Compare | ast.UnaryOp | ast.BoolOp):
                yield change(test, f"(not ({text(test)}))", "condition")
        case ast.Name(id=name) if name in _NAMES:
            yield change(node, _NAMES[name], "least, most")
        case ast.Expr(value=ast.Call() | ast.Await()) | ast.AugAssign() | ast.Delete():
            yield change(node, "pass", "statement left out")
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield change(node, "pass", "statement left out")
        case ast.Break():
            yield change(node, "continue", "break")
        case ast.Continue():
            yield change(node, "pass", "continue")
        case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant):
            yield change(value, "None", "result")


def _is_text(*sides: ast.AST) -> bool:
    return any(
        isinstance(side, ast.JoinedStr) or (isinstance(side, ast.Constant) and isinstance(side.value, str))
        for side in sides
    )
