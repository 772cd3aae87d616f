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


SERVES = """
import gc, sys, tempfile
from pathlib import Path
from contextlib import ExitStack
sys.path.insert(0, "tests/lib")
from bare import bare_session
from rdaq_ophyd import server
from rdaq_ophyd.server import Server, _server

class Looked(Server):
    def __init__(self, *arguments, **options):
        print("opens", "rdaq_ophyd.server._web" in sys.modules, 2 * gc.get_freeze_count() > len(gc.get_objects()))
        super().__init__(*arguments, **options)

_server.Server = Looked
with tempfile.TemporaryDirectory() as folder, bare_session(Path(folder)) as session, ExitStack() as closing:
    session.at_close = closing.callback
    server.serve(session, page=0)
    print("serves", gc.get_freeze_count() > 1000)
    closing.close()
    print("goes on", gc.get_freeze_count())
"""


def test_a_process_that_serves_settles_before_anybody_can_call_and_goes_on_as_before():
    done = subprocess.run([sys.executable, "-c", SERVES], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["opens True True", "serves True", "goes on 0"]
