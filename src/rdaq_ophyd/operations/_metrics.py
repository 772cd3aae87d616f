"""All metrics of a session: what its engine tells, and what is looked up at each scrape."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from rdaq_ophyd import __version__
from rdaq_ophyd.startup import Session

from ._calls import CallMetrics
from ._families import counter, gauge
from ._scrape import Scrape
from ._scrape_links import add_links
from ._scrape_rig import add_catalog, add_devices, add_stop, stops_since

ENGINE_STATES = ("idle", "running", "pausing", "paused", "suspending", "stopping", "aborting", "halting", "panicked")
"""Bluesky's."""


class Metrics(Collector):
    """What Prometheus gets of a session. ``close`` it before the session.

    :param session: whose devices, engine and catalog are looked at.
    :param calls: of its server.
    :param silences: seconds since each event loop last ran, by its name.
    """

    def __init__(self, session: Session, calls: CallMetrics, silences: Callable[[], Mapping[str, float]]) -> None:
        self._session, self._silences = session, silences
        self._stops = stops_since()
        self.registry = CollectorRegistry()
        self._plans = counter("rdaq_plans_total", self.registry)
        self._runs = counter("rdaq_runs_total", self.registry)
        self._documents = counter("rdaq_documents_total", self.registry)
        state = gauge("rdaq_engine_state", self.registry)
        for name in ENGINE_STATES:
            state.labels(name).set_function(partial(_is_in, session, name))
        for part in (self, calls.registry):
            self.registry.register(part)
        for standard in (ProcessCollector, PlatformCollector, GCCollector):
            standard(registry=self.registry)
        self._busy = False
        self._token = session.RE.subscribe(self._on_document)
        session.RE.observers.append(self._on_state)

    def close(self) -> None:
        """Count no more."""
        self._session.RE.unsubscribe(self._token)
        self._session.RE.observers.remove(self._on_state)

    def tick(self) -> None:
        """Look for stops; at least every few seconds, since the latch counts them modulo 256."""
        self._stops()

    def _on_document(self, name: str, document: Mapping[str, Any]) -> None:
        self._documents.labels(name).inc()
        if name == "stop":
            self._runs.labels(document["exit_status"]).inc()

    def _on_state(self, state: str) -> None:
        if state == "idle" and self._busy:
            self._plans.labels(self._session.RE._exit_status).inc()  # bluesky has no public name for it
        self._busy = state != "idle"

    def describe(self) -> Iterable[Metric]:
        """What ``collect`` gives, without looking anything up."""
        return Scrape().families()

    def collect(self) -> Iterable[Metric]:
        """Look everything up; in the thread of whoever scrapes."""
        scrape = Scrape()
        add_links(scrape)
        scrape.add("rdaq_stops_total", self._stops())
        add_stop(scrape)
        add_devices(scrape, self._session.rig)
        add_catalog(scrape, self._session.catalog)
        for publishing in self._session.publishing:
            counts = publishing.counts
            scrape.add("rdaq_publish_documents_total", counts.published + counts.missed, publishing.name)
            scrape.add("rdaq_publish_missed_documents_total", counts.missed, publishing.name)
        for loop, seconds in self._silences().items():
            scrape.add("rdaq_loop_silence_seconds", seconds, loop)
        scrape.add("rdaq_build", 1, __version__, platform.python_version(), self._session.rig.name)
        return scrape.families()


def _is_in(session: Session, state: str) -> float:
    return float(str(session.RE.state) == state)
