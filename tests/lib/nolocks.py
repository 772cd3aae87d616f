"""Runs a script in a process to which ``flock`` always fails, as on a network disk without locks.

``nolocks.py ERRNO SCRIPT ...``: a filter for system calls (seccomp(2)) answers in the kernel's place. It needs no
rights, binds this process and its children only, and cannot be taken off again.
"""

import ctypes
import os
import platform
import runpy
import struct
import sys

# linux/filter.h, linux/seccomp.h, linux/prctl.h
LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
SET_NO_NEW_PRIVS, SET_SECCOMP, MODE_FILTER = 38, 22, 2
FLOCK = {"x86_64": 73, "aarch64": 32}.get(platform.machine())


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def refuse_locks(code):
    """From now on ``flock`` fails with ``code``."""
    steps = [(LOAD, 0, 0, 0), (JUMP_IF_EQUAL, 0, 1, FLOCK), (RETURN, 0, 0, ERRNO | code), (RETURN, 0, 0, ALLOW)]
    text = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    program = _Program(len(steps), ctypes.addressof(text))
    libc = ctypes.CDLL(None, use_errno=True)
    for call in ((SET_NO_NEW_PRIVS, 1, 0, 0, 0), (SET_SECCOMP, MODE_FILTER, ctypes.byref(program), 0, 0)):
        if libc.prctl(*call) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))


if __name__ == "__main__":
    refuse_locks(int(sys.argv[1]))
    sys.argv[:] = sys.argv[2:]
    runpy.run_path(sys.argv[0], run_name="__main__")
