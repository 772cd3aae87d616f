"""Every metric there is: one table, from which they are made and documented."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

CALL_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds in seconds of the classes of calls with one answer."""


@dataclass(frozen=True)
class Family:
    """A metric.

    :param name: as scraped; a histogram has ``_bucket``, ``_sum`` and ``_count`` besides.
    :param labels: names of what it is counted by; each has few values, all known to the rig or to gRPC.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()


_PORT, _CAMERA, _CARD, _METHOD = ("port",), ("camera",), ("card",), ("method",)

_LINKS = (
    Family("rdaq_link_connected", "gauge", "1 while the instrument behind a port answers, else 0", _PORT),
    Family(
        "rdaq_link_state", "gauge", "1 for what is known of the instrument: connected, mute, lost", (*_PORT, "state")
    ),
    Family("rdaq_link_exchanges_total", "counter", "questions that were answered", _PORT),
    Family("rdaq_link_writes_total", "counter", "commands without a reply, preempting ones included", _PORT),
    Family("rdaq_link_preempting_writes_total", "counter", "stops written past all that waited", _PORT),
    Family("rdaq_link_timeouts_total", "counter", "questions without an answer", _PORT),
    Family("rdaq_link_bad_replies_total", "counter", "answers that made no sense", _PORT),
    Family("rdaq_link_resyncs_total", "counter", "how often the input was drained to get back into step", _PORT),
    Family("rdaq_link_lost_total", "counter", "how often the port vanished", _PORT),
    Family("rdaq_link_reconnects_total", "counter", "how often it came back and its instrument was accepted", _PORT),
    Family("rdaq_link_coalesced_total", "counter", "questions answered by an identical one that waited", _PORT),
    Family("rdaq_link_refused_total", "counter", "commands that the stop latch refused", _PORT),
    Family("rdaq_link_queued", "gauge", "exchanges that wait now", _PORT),
    Family("rdaq_link_sent_bytes_total", "counter", "bytes to the instrument", _PORT),
    Family("rdaq_link_received_bytes_total", "counter", "bytes from the instrument", _PORT),
    Family("rdaq_link_round_trip_seconds", "histogram", "from a question's write to the end of its reply", _PORT),
)
_ENGINE = (
    Family("rdaq_engine_state", "gauge", "1 for the RunEngine's state: idle, running, paused", ("state",)),
    Family("rdaq_plans_total", "counter", "plans that ended, by how: success, abort, fail", ("exit_status",)),
    Family("rdaq_runs_total", "counter", "runs whose stop document was made, by its exit status", ("exit_status",)),
    Family("rdaq_documents_total", "counter", "documents made, by kind", ("name",)),
)
_STOPS = (
    Family("rdaq_stop_tripped", "gauge", "1 while everything is stopped and not reset"),
    Family("rdaq_stops_total", "counter", "stop-alls since this process began, by whomever"),
    Family(
        "rdaq_stop_devices",
        "gauge",
        "devices by what the stop that holds came to: confirmed, unconfirmed, unreachable",
        ("outcome",),
    ),
)
_DEVICES = (
    Family("rdaq_devices", "gauge", "devices that are connected"),
    Family("rdaq_devices_failed", "gauge", "devices of the profile that could not be built or connected"),
    Family(
        "rdaq_camera_frames_written_total",
        "counter",
        "frames flushed into a file; one that a pause takes back is counted here, and as discarded",
        _CAMERA,
    ),
    Family("rdaq_camera_frames_lost_total", "counter", "frames that the camera lost", _CAMERA),
    Family("rdaq_camera_frames_discarded_total", "counter", "frames taken that are in no file", _CAMERA),
    Family("rdaq_camera_tapped_frames_total", "counter", "frames handed to live views and analyses", _CAMERA),
    Family("rdaq_camera_skipped_frames_total", "counter", "frames that such readers skipped", _CAMERA),
    Family("rdaq_card_blocks_written_total", "counter", "blocks of samples flushed into a file", _CARD),
    Family("rdaq_card_samples_lost_total", "counter", "samples that the card lost", _CARD),
    Family("rdaq_card_samples_discarded_total", "counter", "samples taken that are in no file", _CARD),
)
_CATALOG = (
    Family("rdaq_catalog_serving", "gauge", "1 while Tiled is up"),
    Family("rdaq_catalog_delivering", "gauge", "1 while a worker brings documents into Tiled"),
    Family("rdaq_catalog_behind_documents", "gauge", "documents recorded that Tiled does not have yet"),
    Family("rdaq_data_free_bytes", "gauge", "room left on the disk of the data directory"),
)
_PROCESS = (
    Family("rdaq_loop_silence_seconds", "gauge", "how long ago an event loop last ran", ("loop",)),
    Family("rdaq_build", "gauge", "always 1; what runs, as labels", ("version", "python", "rig")),
)
CALLS = (
    Family("rdaq_grpc_calls_total", "counter", "calls that ended, by gRPC's status code", (*_METHOD, "code")),
    Family("rdaq_grpc_calls_in_progress", "gauge", "calls under way", _METHOD),
    Family("rdaq_grpc_call_seconds", "histogram", "how long calls with one answer took", _METHOD),
    Family("rdaq_grpc_sent_messages_total", "counter", "messages sent", _METHOD),
    Family("rdaq_grpc_sent_bytes_total", "counter", "bytes of messages sent, without gRPC's own", _METHOD),
    Family(
        "rdaq_throttled_refusals_total",
        "counter",
        "calls without a known token beyond what is answered in words, by door: grpc, page",
        ("door",),
    ),
    Family("rdaq_grpc_clients", "gauge", "clients with a call under way, or one in the last 30 s"),
)
SCRAPED = (*_LINKS, *_STOPS, *_DEVICES, *_CATALOG, *_PROCESS)
"""Those that are looked up at each scrape."""
FAMILIES = (*SCRAPED, *_ENGINE, *CALLS)
"""All of them; those of the process itself (``process_…``, ``python_…``) come from prometheus_client."""
_BY_NAME = {family.name: family for family in FAMILIES}


def counter(name: str, registry: CollectorRegistry) -> Counter:
    """A counter of the table, counted by whoever asks for it."""
    family = _BY_NAME[name]
    return Counter(family.name, family.help, family.labels, registry=registry)


def gauge(name: str, registry: CollectorRegistry) -> Gauge:
    """The same for a gauge."""
    family = _BY_NAME[name]
    return Gauge(family.name, family.help, family.labels, registry=registry)


def call_seconds(name: str, registry: CollectorRegistry) -> Histogram:
    """The same for a histogram of calls."""
    family = _BY_NAME[name]
    return Histogram(family.name, family.help, family.labels, buckets=CALL_SECONDS, registry=registry)
