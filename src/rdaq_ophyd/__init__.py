"""Optics and materials labs as ophyd-async devices, without a control-system server.

The package is a set of layers (see ``CONTRIBUTING.md``); import what you need from the layer that has it:
``rdaq_ophyd.devices.esp300``, ``rdaq_ophyd.startup``, ``rdaq_ophyd.errors``. Importing this module alone
imports nothing else.
"""

from importlib.metadata import version

__version__ = version("rdaq-ophyd")
__all__ = ["__version__"]
