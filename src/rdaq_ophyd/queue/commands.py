"""``rdaq queue status``, ``add``, ``list`` …: small requests to a queue that runs."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rdaq_ophyd.errors import QueueError, UnknownName

from ._arguments import plan_item
from ._control import Control

__all__ = ["add", "clear", "history", "list_items", "list_plans", "open_or_close", "start", "status", "stop"]
OPENS = 300.0
"""Seconds for a worker to open or close."""


def status(control: Control) -> int:
    """How it is; 1 while there is no worker, or everything is stopped."""
    now = control.status()
    rig = now.get("rig") or "no worker"
    _say(f"{rig}: queue {now['manager_state']}, engine {now['re_state'] or 'none'}{_pending(now)}")
    _say(f"{now['items_in_queue']} in the queue, {now['items_in_history']} in the history")
    if now["running_item_uid"]:
        _say(f"running: {_told(control.ask('queue_get')['running_item'])}")
    if now.get("address"):
        _say(f"devices: rdaq ls --host {now['address']}")
    elif not now.get("worker_died"):
        _say("the environment is closed: rdaq queue open")
    if now.get("stopped"):
        _say(f"STOPPED: {now['stopped']}")
    if now.get("worker_died"):
        _say(f"DIED: {now['worker_died']}; look at the bench, then: rdaq queue open")
    return int(bool(now.get("stopped")) or not now["worker_environment_exists"])


def _pending(now: Mapping[str, Any]) -> str:
    words = [word for key, word in PENDING.items() if now.get(key)]
    return f" ({', '.join(words)})" if words else ""


PENDING = {
    "queue_stop_pending": "stops after this item",
    "queue_autostart_enabled": "starts by itself",
    "pause_pending": "pauses at the next checkpoint",
}


def add(control: Control, name: str, words: Sequence[str], *, front: bool = False) -> int:
    """Put a plan into the queue; its arguments are checked there."""
    plans = control.ask("plans_allowed")["plans_allowed"]
    if name not in plans:
        raise UnknownName.among("plan", name, plans, hint="(`rdaq queue plans`)")
    item = plan_item(name, plans[name], words, f"rdaq queue add {name}")
    reply = control.ask("queue_item_add", item=item, pos="front" if front else "back")
    _say(f"{reply['item']['item_uid'][:8]} {name}: {reply['qsize']} in the queue")
    return 0


def list_plans(control: Control) -> int:
    """The plans that may be queued, each with the first line of its description."""
    for name, plan in sorted(control.ask("plans_allowed")["plans_allowed"].items()):
        _say(f"{name:<24} {plan.get('description', '').partition(chr(10))[0]}")
    return 0


def list_items(control: Control) -> int:
    """What is in the queue, the first to run first."""
    queue = control.ask("queue_get")
    if queue["running_item"]:
        _say(f"{_told(queue['running_item'])}  (running)")
    for item in queue["items"]:
        _say(_told(item))
    return 0


def history(control: Control, count: int) -> int:
    """What was run, the last of all last."""
    items = control.ask("history_get")["items"]
    for item in items[-count:] if count else items:
        result = item["result"]
        when = datetime.fromtimestamp(result["time_stop"]).astimezone().strftime("%Y-%m-%d %H:%M:%S")
        scans = ", ".join(f"scan {scan}" for scan in result["scan_ids"])
        _say("  ".join(filter(None, [when, result["exit_status"], scans, _told(item), _line(result["msg"])])))
    return 0


def start(control: Control) -> int:
    """Run what is in the queue, until it is empty or stopped."""
    control.ask("queue_start")
    return 0


def stop(control: Control, *, cancel: bool) -> int:
    """Begin nothing after the item that runs; or take that back."""
    control.ask("queue_stop_cancel" if cancel else "queue_stop")
    return 0


def clear(control: Control) -> int:
    """Forget what is in the queue; what runs goes on."""
    control.ask("queue_clear")
    return 0


def open_or_close(control: Control, word: str) -> int:
    """Start the worker, or end it in order; waits for it."""
    control.ask(f"environment_{word}")
    end = time.monotonic() + OPENS
    while (now := control.status())["manager_state"] != "idle":
        if time.monotonic() > end:
            raise QueueError(f"the worker does not {word} within {OPENS:g} s", hint="look at the log of `rdaq queue`")
        time.sleep(0.25)
    if now["worker_environment_exists"] != (word == "open"):
        raise QueueError(f"the worker did not {word}", hint="why is in the log of `rdaq queue`")
    _say(f"devices: rdaq ls --host {now['address']}" if word == "open" else "closed")
    return 0


def _told(item: Mapping[str, Any]) -> str:
    words = [str(arg) for arg in item.get("args", ())] + [f"{k}={v}" for k, v in item.get("kwargs", {}).items()]
    return f"{item['item_uid'][:8]}  {item['name']}({', '.join(words)})  {item.get('user', '')}".rstrip()


def _line(text: str) -> str:
    return " ".join(text.split())[:200]


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
