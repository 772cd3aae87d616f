"""Expressions in simulated instruments: arithmetic on names, with nothing else within reach."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any


def _numeric(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """``function`` for numbers alone: ``'x' * 10**9`` and ``'%999999999d' % 1`` fill the memory."""

    def call(left: Any, right: Any) -> Any:
        if isinstance(left, str) or isinstance(right, str):
            raise TypeError("texts can only be added and compared")
        return function(left, right)

    return call


BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: _numeric(operator.sub),
    ast.Mult: _numeric(operator.mul),
    ast.Div: _numeric(operator.truediv),
    ast.FloorDiv: _numeric(operator.floordiv),
    ast.Mod: _numeric(operator.mod),
    ast.BitOr: _numeric(operator.or_),
    ast.BitAnd: _numeric(operator.and_),
}
UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Not: operator.not_,
}
COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": abs,
    "min": min,
    "max": max,
    "round": round,
    "int": int,
    "float": float,
    "bool": bool,
}
LONGEST = 500
"""Characters of an expression; the longest sensible ones are a line."""


class ExpressionError(ValueError):
    """It is no expression, or it has no value."""


class Expression:
    """``voltage / 1000 if output else 0``: numbers, texts, names, ``+ - * / // % | &``, comparisons, conditions.

    ``kelvin[input]`` takes a member of a table; ``abs min max round int float bool`` may be called.

    :raises ExpressionError: it is something else.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        if len(text) > LONGEST:
            raise ExpressionError(f"an expression of {len(text)} characters; {LONGEST} are allowed")
        try:
            self._node = ast.parse(text.strip(), mode="eval").body
            self.names = frozenset(_check(self._node))
        except (SyntaxError, RecursionError, MemoryError) as error:
            reason = error.msg if isinstance(error, SyntaxError) else "too deep"
            raise ExpressionError(f"{text!r} is no expression: {reason}") from error

    def __call__(self, names: Mapping[str, Any]) -> Any:
        """Its value.

        :param names: what the names in it stand for.
        :raises ExpressionError: it has none: a division by zero, an unknown member, unlike types.
        """
        try:
            return _value(self._node, names)
        except (ArithmeticError, KeyError, TypeError, ValueError) as error:
            raise ExpressionError(f"{self.text!r} has no value: {type(error).__name__}: {error}") from error


def _check(node: ast.expr) -> Iterator[str]:
    """The names in it; raises where it is more than an expression may be."""
    match node:
        case ast.Constant(value=bool() | int() | float() | str()):
            return
        case ast.Name(id=name):
            yield name
        case ast.Call(func=ast.Name(id=function), args=parts, keywords=[]) if function in FUNCTIONS:
            yield from _names(*parts)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in BINARY:
            yield from _names(left, right)
        case ast.UnaryOp(op=op, operand=operand) if type(op) in UNARY:
            yield from _check(operand)
        case ast.Compare(left=left, ops=ops, comparators=others) if all(type(op) in COMPARE for op in ops):
            yield from _names(left, *others)
        case ast.BoolOp(values=parts):
            yield from _names(*parts)
        case ast.IfExp(test=test, body=body, orelse=other):
            yield from _names(test, body, other)
        case ast.Subscript(value=ast.Name() as table, slice=ast.Name() | ast.Constant() as key):
            yield from _names(table, key)
        case _:
            raise ExpressionError(f"{ast.unparse(node)!r} may not stand in an expression")


def _names(*nodes: ast.expr) -> Iterator[str]:
    for node in nodes:
        yield from _check(node)


def _value(node: ast.expr, names: Mapping[str, Any]) -> Any:
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name):
            return names[name]
        case ast.Call(func=ast.Name(id=function), args=parts):
            return FUNCTIONS[function](*(_value(part, names) for part in parts))
        case ast.BinOp(left=left, op=op, right=right):
            return _bounded(BINARY[type(op)](_value(left, names), _value(right, names)))
        case ast.UnaryOp(op=op, operand=operand):
            return UNARY[type(op)](_value(operand, names))
        case ast.Compare(left=left, ops=ops, comparators=others):
            return _compare(_value(left, names), ops, [_value(other, names) for other in others])
        case ast.BoolOp(op=op, values=parts):
            found = (bool(_value(part, names)) for part in parts)
            return all(found) if isinstance(op, ast.And) else any(found)
        case ast.IfExp(test=test, body=body, orelse=other):
            return _value(body if _value(test, names) else other, names)
        case ast.Subscript(value=table, slice=key):
            return _value(table, names)[_value(key, names)]
    raise ExpressionError(f"{ast.unparse(node)!r} has no value")


def _compare(left: Any, ops: list[ast.cmpop], others: list[Any]) -> bool:
    for op, right in zip(ops, others, strict=True):
        if not COMPARE[type(op)](left, right):
            return False
        left = right
    return True


def _bounded(value: Any) -> Any:
    """No text or number that grows without end, command by command."""
    if isinstance(value, str) and len(value) > LONGEST * 10:
        raise ValueError("too long a text")
    if isinstance(value, int) and value.bit_length() > 1024:
        raise ValueError("too large a number")
    return value
