"""Pixel formats by the names that Micro-Manager's adapters give to them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from rdaq_ophyd.errors import MicroManagerError
from rdaq_ophyd.frames import PixelFormat

# "8bit", "16bit" (DemoCamera and many more), "GRAY8", "Mono12" (GenICam); not "32bitRGB", "Mono12Packed".
_NAME = re.compile(r"(?:(\d+) ?bits?|(?:GRAY|Mono)(\d+))", re.IGNORECASE)


def known_formats(values: Iterable[str]) -> dict[PixelFormat, Mapping[str, str]]:
    """Which of our formats the values of a property ``PixelType`` stand for."""
    bits = {f.bits: f for f in PixelFormat}
    found: dict[PixelFormat, Mapping[str, str]] = {}
    for value in values:
        match = _NAME.fullmatch(value)
        if match is not None and (known := bits.get(int(match[1] or match[2]))) is not None:
            found[known] = {"PixelType": value}
    return dict(sorted(found.items(), key=lambda item: item[0].bits))


def format_of(label: str, bytes_per_pixel: int, bits: int, components: int) -> PixelFormat:
    """The format of images with so many bytes and significant bits in a pixel; 11 and 14 bits count as 16.

    :raises MicroManagerError: colour, or more than 16 bits.
    """
    if components != 1 or bytes_per_pixel not in (1, 2):
        raise MicroManagerError(
            f"{label}: pixels of {bytes_per_pixel} bytes in {components} components are not supported",
            hint="choose a monochrome PixelType of 8 to 16 bits",
        )
    if bytes_per_pixel == 1:
        return PixelFormat.MONO8
    return {10: PixelFormat.MONO10, 12: PixelFormat.MONO12}.get(bits, PixelFormat.MONO16)
