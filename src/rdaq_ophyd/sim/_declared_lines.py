"""From a received line to the commands on it."""

from __future__ import annotations


def end_mark(command_end: str) -> str:
    """The character at which a line ends; of several, the last."""
    return command_end[-1]


def split_line(line: str, *, scpi: bool, separator: str) -> list[str]:
    """The commands on a line.

    :param scpi: separated by semicolons; one without a colon before it goes on in the header of the one before
        (SCPI-99, 6.2.4).
    :param separator: what separates them otherwise; empty where a line is one command.
    """
    parts = [part.strip() for part in _outside_quotes(line, ";" if scpi else separator)]
    if not scpi:
        return [part for part in parts if part]
    commands: list[str] = []
    path = ""
    for part in parts:
        if not part:
            continue
        command = part if part.startswith((":", "*")) else path + part
        commands.append(command)
        if not part.startswith("*"):
            header = command.split(" ", 1)[0]
            path = header[: header.rfind(":") + 1]
    return commands


def _outside_quotes(line: str, separator: str) -> list[str]:
    if not separator:
        return [line]
    parts, quote = [""], ""
    for char in line:
        if char == separator and not quote:
            parts.append("")
            continue
        if char in "\"'" and quote in {"", char}:
            quote = "" if quote else char
        parts[-1] += char
    return parts
