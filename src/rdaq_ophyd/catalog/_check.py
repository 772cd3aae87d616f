"""``rdaq catalog check``: a shared catalog proven from the rig, end to end."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx

from rdaq_ophyd.errors import CatalogError

from ._check_keys import authorized, check_keys
from ._check_refusals import REFUSED, check_refusals
from ._clocks import LARGEST_SKEW, Clocks
from ._finding import Finding, failed, skipped
from ._layout import DataLayout
from ._path_map import PathMap
from ._probe_run import KEY, PLAN_NAME, ProbeRun
from ._shared import SharedCatalog
from ._subscribers import COUNT, Subscribers

FOLDER = "rdaq-check"
"""Where the runs of checks stay: not among the runs, and for the administrator to delete. No rig's key may."""
_TIMEOUT = 20.0
# Until a server's clock is looked at again: it dates its answers anew each second (s).
_LOOK_AGAIN = 1.0
# From a row that was told of to the subscriber; Redis and the server take some ten milliseconds (s).
TOLD_WITHIN = 10.0


def check(layout: DataLayout, shared: SharedCatalog) -> Iterator[Finding]:
    """Try everything that a rig does with the catalog, with a small run.

    What cannot be tried because of an earlier finding is not tried. The run stays, in the container ``rdaq-check``.

    :param layout: its ``frames/`` take the run's file for the while.
    """
    # A connection each: after an error of its own the server closes the one that met it.
    limits = httpx.Limits(max_keepalive_connections=0)
    with httpx.Client(base_url=shared.uri, timeout=_TIMEOUT, limits=limits) as http:
        for tried in (_check_server(http, shared), check_keys(http, shared)):
            found = list(tried)
            yield from found
            if any(one.fatal for one in found):
                yield skipped("the rest", "not tried")
                return
        try:
            yield from _Trial(layout, shared, http).run()
        except httpx.TransportError as error:
            hint = "the server's log says why; a proxy's time-out, or a worker that was ended for want of memory?"
            yield failed("the server", f"it went away in between: {error}", hint)


def _check_server(http: httpx.Client, shared: SharedCatalog) -> Iterator[Finding]:
    clocks = Clocks()
    try:
        answer = _hear(http, clocks)
        about = answer.json()
        version = about["library_version"]
    except httpx.TransportError as error:
        yield failed("the server", f"{shared.uri} does not answer: {error}", _why_no_answer(error), fatal=True)
        return
    except (ValueError, KeyError, TypeError):
        hint = "the address has to end in /api/v1; a proxy must hand that path on"
        yield failed("the server", f"what answers at {shared.uri} is no Tiled ({answer.status_code})", hint, fatal=True)
        return
    yield Finding("the server", f"Tiled {version} answers at {shared.uri}")
    yield _check_clock(http, clocks)


def _why_no_answer(error: httpx.TransportError) -> str:
    if isinstance(error.__context__, ssl.SSLError) or "CERTIFICATE" in str(error).upper():
        return "its certificate is not trusted here: give SSL_CERT_FILE the lab's authority, or mend the proxy"
    if isinstance(error, httpx.TimeoutException):
        return "a firewall between here and there? (a closed port would have answered at once)"
    return "is it started, does it listen on that address, is the name right?"


def _hear(http: httpx.Client, clocks: Clocks) -> httpx.Response:
    before = time.time()
    answer = http.get("/")
    clocks.hear(answer, before, time.time())
    return answer


def _check_clock(http: httpx.Client, clocks: Clocks) -> Finding:
    while clocks.doubtful:
        time.sleep(_LOOK_AGAIN)
        try:
            _hear(http, clocks)
        except httpx.TransportError as error:
            return skipped("the clock", f"the server does not answer any more: {error}")
    if clocks.skew is None:
        return skipped("the clock", "the server tells no time")
    if clocks.differ:
        which = "ahead of" if clocks.skew > 0 else "behind"
        text = f"the server's is {abs(clocks.skew):.0f} s {which} this machine's: times of runs cannot be compared"
        return failed("the clock", text, "let both follow the same time server (timedatectl, chronyc tracking)")
    return Finding("the clock", f"agrees within {LARGEST_SKEW:g} s")


class _Trial:
    """One run written, read, listened to, and refused to be deleted."""

    def __init__(self, layout: DataLayout, shared: SharedCatalog, http: httpx.Client) -> None:
        self.shared, self.http = shared, http
        self.probe = ProbeRun(layout.frames)
        self.run_path = f"{FOLDER}/{self.probe.uid}"
        self.path = f"{self.run_path}/primary/{KEY}"
        self.writer = authorized(shared.writer.read())
        self.reader = authorized(_reading_key(shared))

    def run(self) -> Iterator[Finding]:
        with ExitStack() as stack:
            stack.callback(self.probe.remove)
            try:
                self.probe.write_file()
            except OSError as error:
                yield failed("frames", f"cannot write {str(self.probe.path)!r} ({error})", "make the folder writable")
                return
            yield from self._write(stack)

    def _write(self, stack: ExitStack) -> Iterator[Finding]:
        from ._in_place import PartsInPlace
        from ._run_writer import RunDelivery

        try:
            client = self.shared.connect()
            stack.callback(client.context.close)
            folder = PartsInPlace(client).create_container(key=FOLDER, metadata={"made_by": PLAN_NAME})
            delivery = RunDelivery(folder, self.probe.uid, paths=self.shared.paths)
            delivery.write(self.probe.begin())
        except httpx.HTTPError as error:
            yield failed("write", f"the run was not taken: {_said(error)}", _why_not_written(error))
            yield from self._delete()
            return
        yield Finding("write", "a run, its table of events and the place of its frames were taken")
        try:
            yield from self._subscribe(delivery)
            yield from self._read()
            yield from check_refusals(self.http, self.run_path, self.path, self.shared, self.reader, self.writer)
        finally:
            found = list(self._delete())
        yield from found

    def _subscribe(self, delivery: Any) -> Iterator[Finding]:
        from websockets.exceptions import WebSocketException

        subscribers = Subscribers(self.shared.uri, self.path, self.reader)
        rows = len(self.probe.points())
        try:
            with subscribers.listening():
                delivery.write(self.probe.end())
                told = subscribers.told(rows, TOLD_WITHIN)
        except (OSError, WebSocketException) as error:
            hint = "configure a streaming_cache (Redis), and let the proxy hand WebSockets on"
            yield failed("subscribe", f"the server takes no subscribers: {error or type(error).__name__}", hint)
            delivery.write(self.probe.end())
            return
        except httpx.HTTPError as error:
            yield failed("write", f"the rest of the run was not taken: {_said(error)}", _why_not_written(error))
            return
        yield _told(told)

    def _read(self) -> Iterator[Finding]:
        table = self.http.get(
            f"/table/full/{self.run_path}/primary/internal", params={"format": "application/json"}, headers=self.reader
        )
        if table.status_code != httpx.codes.OK or table.json().get("point") != self.probe.points():
            hint = "is the database of tables there (writable_storage), may Tiled's account write in it?"
            yield failed("read", f"the table of events does not read back ({table.status_code})", hint)
        else:
            yield Finding("read", "the table of events reads back")
        yield self._read_frames()

    def _read_frames(self) -> Finding:
        frames = self.http.get(
            f"/array/full/{self.path}", params={"format": "application/octet-stream"}, headers=self.reader
        )
        there = self.shared.paths.there(self.probe.path)
        if frames.status_code == httpx.codes.OK and self.probe.matches(frames.content):
            return Finding("frames", f"the server reads them as {str(there)!r}")
        if frames.status_code == httpx.codes.OK:
            hint = "two folders with files of the same name? correct [paths] in " + str(self.shared.file)
            return failed("frames", f"what the server reads as {str(there)!r} is another file", hint)
        return failed(
            "frames",
            f"the server cannot read them as {str(there)!r} ({frames.status_code})",
            _why_unreadable(self.shared.paths, self.probe.path, there.parent),
        )

    def _delete(self) -> Iterator[Finding]:
        """Try to, which must be refused."""
        path = f"/metadata/{self.run_path}"
        options = {"recursive": "true", "external_only": "false"}
        status = self.http.delete(path, params=options, headers=self.writer).status_code
        if status in REFUSED:
            stays = self.http.get(path, headers=self.writer).status_code == httpx.codes.OK
            where = f"; the run stays as {self.run_path} until the administrator deletes it" if stays else ""
            yield Finding("delete", f"refused{where}")
        elif status == httpx.codes.OK:
            hint = "give the rig a key with the role rdaq-writer, see profiles/scaled/README.md"
            yield failed("delete", "the rig's key may delete, and so the runs of every rig", hint)
        else:
            yield skipped("delete", f"it cannot be told whether the rig's key may ({status})")


def _reading_key(shared: SharedCatalog) -> str:
    try:
        return shared.reader.read() if shared.reader else shared.writer.read()
    except CatalogError:  # said already
        return shared.writer.read()


def _told(told: int) -> Finding:
    if told == COUNT:
        return Finding("subscribe", f"{told} subscribers were told of new frames")
    if told:
        text = f"only {told} of {COUNT} subscribers were told: the processes of the server do not share one cache"
        return failed("subscribe", text, "streaming_cache: one Redis for all of them, not 'memory'")
    hint = "is Redis up, and the same for all processes of the server (streaming_cache)?"
    return failed("subscribe", f"no subscriber was told of new frames within {TOLD_WITHIN:g} s", hint)


def _why_not_written(error: httpx.HTTPError) -> str:
    status = error.response.status_code if isinstance(error, httpx.HTTPStatusError) else 0
    if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        return "give the key the scopes that are named above (profiles/scaled/roles.sql)"
    if status >= httpx.codes.INTERNAL_SERVER_ERROR:
        return "the server's log says why; most often PostgreSQL is away, or its account may not write"
    return "the server's log says why"


def _why_unreadable(paths: PathMap, here: Path, folder: Any) -> str:
    if paths.folders and str(paths.there(here)) == str(here):
        covered = ", ".join(str(pair[0]) for pair in paths.folders)
        return f"[paths] names {covered}, none of which holds {here.parent}: add that folder"
    return (
        f"on the server: is {folder} there with the file in it (else correct [paths]), is it below one of "
        "readable_storage in config.yml, may Tiled's account read it?"
    )


def _said(error: Exception) -> str:
    return " ".join(str(error).split())
