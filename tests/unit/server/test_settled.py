"""A process that serves does not stand still to look through what it began with."""

import subprocess
import sys

PROGRAM = """
import gc, weakref
from rdaq_ophyd.server._settled import settle

class Node: pass

def cycle():
    node = Node()
    node.me = node
    return weakref.ref(node)

garbage, before = cycle(), len(gc.get_objects())
settle()
assert garbage() is None  # what is garbage by then is thrown away
print(before, gc.get_freeze_count(), len(gc.get_objects()))
later = cycle()
gc.collect()
print(later() is None)
"""


def test_what_was_made_before_is_looked_through_no_more_and_what_comes_is():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    before, frozen, left, collected = done.stdout.split()
    assert int(frozen) > 0.9 * int(before)
    assert int(left) < 0.01 * int(before)
    assert collected == "True"
