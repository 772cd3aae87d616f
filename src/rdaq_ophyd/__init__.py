"""Optics and materials labs as ophyd-async devices, without a control-system server.

The package is a set of layers (see ``CONTRIBUTING.md``); import what you need from the layer that has it:
``rdaq_ophyd.devices.esp300``, ``rdaq_ophyd.startup``, ``rdaq_ophyd.errors``. Importing this module alone
imports nothing else.
"""

__version__: str
__all__ = ["__version__"]


def __getattr__(name: str) -> str:
    """The version when somebody asks for it: to find it takes longer than a small program's other imports."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import version

    return version("rdaq-ophyd")
