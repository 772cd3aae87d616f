"""Read the demo's runs back in a process of its own: plain HTTP, Tiled's client and databroker, and plot the scan.

``python -m rdaq_ophyd.demo._readback`` reads one JSON object from standard input (``uri``, ``api_key``, ``uids``,
``plot``: where the PNG goes) and prints the list of what it read. It is started early: the clients take seconds to
import, which pass while the scans run.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import httpx
import numpy as np

__all__: list[str] = []


def http_metadata(uri: str, key: str, uid: str) -> dict[str, Any]:
    """A run's metadata by plain HTTP, as any program in any language gets it."""
    response = httpx.get(
        f"{uri}/metadata/{uid}", headers={"Authorization": f"Apikey {key}"}, timeout=30, trust_env=False
    )
    response.raise_for_status()
    metadata: dict[str, Any] = response.json()["data"]["attributes"]["metadata"]
    return metadata


def read_run(run: Any, metadata: dict[str, Any]) -> dict[str, Any]:
    """What one run holds: exit status, events of ``primary``, and the frames, all of them read."""
    found: dict[str, Any] = {
        "uid": metadata["start"]["uid"],
        "plan_name": metadata["start"].get("plan_name"),
        "exit_status": (metadata.get("stop") or {}).get("exit_status"),
        "events": 0,
        "frames": 0,
    }
    if "primary" not in run:
        return found
    primary = run["primary"]
    found["events"] = len(primary.read(["time"])["time"])
    for name in primary:
        node = primary[name]
        if len(getattr(node, "shape", ())) == 3:
            images = np.asarray(node.read())
            found |= {"frames": len(images), "shape": list(images.shape), "mean": float(images.mean())}
    return found


def plot(run: Any, path: Path) -> None:
    """The knife-edge scan as a PNG, from what Tiled gave back."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    from rdaq_ophyd.plans._knife_edge import beam_radius

    data = run["primary"].read()
    x, power = np.asarray(data["x"]), np.asarray(data["power_meter-power"])
    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    axes.plot(x, power * 1e3, "o-", ms=4)
    axes.set(xlabel="x (mm)", ylabel="power (mW)", title="Knife-edge scan")
    if (edge := beam_radius(list(x), list(power))) is not None:
        axes.axvline(edge.center, ls=":", color="gray")
        axes.set_title(f"Knife-edge scan: centre {edge.center:.3f} mm, 1/e² radius {edge.radius:.3f} mm")
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main() -> int:
    """Read all runs by each of the three ways and print what they hold."""
    import databroker
    from tiled.client import from_uri

    asked = json.loads(sys.stdin.readline())
    uri, key = asked["uri"], asked["api_key"]
    client = from_uri(uri, api_key=key)
    broker = databroker.catalog["rdaq"]
    runs = []
    for uid in asked["uids"]:
        metadata = http_metadata(uri, key, uid)
        found = read_run(client[uid], metadata)
        found["databroker"] = broker[uid].metadata["start"]["uid"] == uid
        runs.append(found)
    plot(client[asked["uids"][0]], Path(asked["plot"]))
    sys.stdout.write(json.dumps(runs) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
