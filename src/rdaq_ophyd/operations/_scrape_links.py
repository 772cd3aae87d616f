"""What is counted on the links."""

from __future__ import annotations

from rdaq_ophyd.link import ROUND_TRIPS, LinkState, known_links

from ._scrape import Scrape

COUNTED = {
    "rdaq_link_exchanges_total": "exchanges",
    "rdaq_link_writes_total": "writes",
    "rdaq_link_preempting_writes_total": "preempted",
    "rdaq_link_timeouts_total": "timeouts",
    "rdaq_link_bad_replies_total": "bad_replies",
    "rdaq_link_resyncs_total": "resyncs",
    "rdaq_link_lost_total": "lost",
    "rdaq_link_reconnects_total": "reopened",
    "rdaq_link_coalesced_total": "coalesced",
    "rdaq_link_refused_total": "refused",
    "rdaq_link_queued": "queued",
    "rdaq_link_sent_bytes_total": "bytes_out",
    "rdaq_link_received_bytes_total": "bytes_in",
}
"""Metric: field of ``LinkStatistics``."""


def add_links(scrape: Scrape) -> None:
    """Every shared link of this process."""
    for link in known_links():
        found, port = link.statistics, link.url
        for name, field in COUNTED.items():
            scrape.add(name, getattr(found, field), port)
        scrape.add_histogram("rdaq_link_round_trip_seconds", ROUND_TRIPS, found.round_trips, found.round_trip_sum, port)
        scrape.add("rdaq_link_connected", link.state is LinkState.CONNECTED, port)
        for state in LinkState:
            scrape.add("rdaq_link_state", link.state is state, port, state.value)
