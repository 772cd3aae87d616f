"""Frames as they come, made of letters, and a window that hears of them."""

from __future__ import annotations

import numpy as np

from rdaq_ophyd.client._frames import Come
from rdaq_ophyd.client._window import Window
from rdaq_ophyd.wire import messages


def split(message, waited=0.0):
    """One of several: ``a+b``."""
    header = messages.FrameHeader(waited=waited)
    return [Come(header, np.frombuffer(each, np.uint8)) for each in message.split(b"+")]


def said(come):
    """Its letters."""
    return come and come.array.tobytes()


class Hearing(Window):
    """``heard``: bytes of each frame, and how long its credit lay at the server."""

    def __init__(self, fixed=None):
        super().__init__(fixed)
        self.heard = []

    def arrived(self, nbytes, now, waited=0.0):
        self.heard.append((nbytes, waited))
        super().arrived(nbytes, now, waited)
