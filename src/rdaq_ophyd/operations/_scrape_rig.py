"""What is known of devices, stop and catalog."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable

from rdaq_ophyd.catalog import EmbeddedCatalog
from rdaq_ophyd.frames import Camera
from rdaq_ophyd.rig import Rig
from rdaq_ophyd.stop import Outcome, latch
from rdaq_ophyd.streams import StreamDetector

from ._scrape import Scrape

CAMERA = ("rdaq_camera_frames_written_total", "rdaq_camera_frames_lost_total", "rdaq_camera_frames_discarded_total")
CARD = ("rdaq_card_blocks_written_total", "rdaq_card_samples_lost_total", "rdaq_card_samples_discarded_total")


def stops_since() -> Callable[[], int]:
    """Counts stop-alls from now on: each call gives how many there were. The latch counts modulo 256."""
    last, total = latch.trips, 0

    def count() -> int:
        nonlocal last, total
        now = latch.trips
        total += (now - last) % 256
        last = now
        return total

    return count


def add_stop(scrape: Scrape) -> None:
    """Whether everything is stopped, and what that came to."""
    stopped = latch.tripped
    scrape.add("rdaq_stop_tripped", stopped)
    outcomes = Counter(verdict.outcome for verdict in (latch.verdicts or ()) if stopped)
    for outcome in Outcome:
        scrape.add("rdaq_stop_devices", outcomes[outcome], outcome.value)


def add_devices(scrape: Scrape, rig: Rig) -> None:
    """The rig's devices, and what its cameras and cards took."""
    devices = dict(rig.devices)
    failed = set(rig.failures)
    scrape.add("rdaq_devices", len(devices.keys() - failed))
    scrape.add("rdaq_devices_failed", len(failed))
    for name, device in devices.items():
        if not isinstance(device, StreamDetector):
            continue
        totals = device.totals
        names = CAMERA if isinstance(device, Camera) else CARD
        for metric, value in zip(names, (totals.written, totals.lost, totals.discarded), strict=True):
            scrape.add(metric, value, name)
        if isinstance(device, Camera):
            counts = device.tap_counts
            scrape.add("rdaq_camera_tapped_frames_total", counts.taken, name)
            scrape.add("rdaq_camera_skipped_frames_total", counts.skipped, name)


def add_catalog(scrape: Scrape, catalog: EmbeddedCatalog) -> None:
    """How far the catalog has come."""
    scrape.add("rdaq_catalog_serving", catalog.serving)
    scrape.add("rdaq_catalog_delivering", catalog.delivering)
    scrape.add("rdaq_catalog_behind_documents", catalog.behind())
    scrape.add("rdaq_data_free_bytes", shutil.disk_usage(catalog.layout.root).free)
