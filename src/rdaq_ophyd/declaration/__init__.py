"""A declared instrument: one TOML file that says how to talk to it, how it is made safe and how it behaves."""

from ._declaration import FORMAT, Declaration
from ._expression import Expression, ExpressionError
from ._load import find, load, parse, shipped
from ._model import Table
from ._parts import Errors, Identity, Instrument, Link, SafeState, Serial, Stop
from ._receive import Pattern
from ._safer import safer
from ._signals import Argument, AskedLimits, Capabilities, Command, Done, Group, Movable, Scope, Signal
from ._sim import Action, ErrorQueue, Move, Ramp, Rule, Sim
from ._template import Answer, TemplateError, check_template, names

__all__ = [
    "FORMAT",
    "Action",
    "Answer",
    "Argument",
    "AskedLimits",
    "Capabilities",
    "Command",
    "Declaration",
    "Done",
    "ErrorQueue",
    "Errors",
    "Expression",
    "ExpressionError",
    "Group",
    "Identity",
    "Instrument",
    "Link",
    "Movable",
    "Move",
    "Pattern",
    "Ramp",
    "Rule",
    "SafeState",
    "Scope",
    "Serial",
    "Signal",
    "Sim",
    "Stop",
    "Table",
    "TemplateError",
    "check_template",
    "find",
    "load",
    "names",
    "parse",
    "safer",
    "shipped",
]
