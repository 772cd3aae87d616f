"""The unit file for systemd: what a daemon that owns instruments may do, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rdaq_ophyd.errors import RdaqError

TEMPLATE = """\
# Made by `rdaq serve --print-unit`. To install it:
#   rdaq serve ... --print-unit | sudo tee /etc/systemd/system/rdaq.service
#   sudo systemctl daemon-reload && sudo systemctl enable --now rdaq
[Unit]
Description=rdaq: instruments, runs and stop of {profile}
Documentation=https://rdaq-ophyd.readthedocs.io
After=network.target local-fs.target time-sync.target
StartLimitIntervalSec=300
StartLimitBurst=5

[Service]
Type=notify
NotifyAccess=main
ExecStart={command}
User={user}
# Serial ports belong to the group dialout on Debian and its like; uucp on others.
SupplementaryGroups=dialout
Restart=on-failure
# As long as the watchdog may need, which holds the ports until everything is safe.
RestartSec=10
# Tiled and the devices come up within this; afterwards a sign of life at least this often.
TimeoutStartSec=180
WatchdogSec=60
# SIGTERM stops everything, lets a plan clean up (30 s), and brings documents into the catalog. The process alone is
# told: Tiled and its worker end when it does, and the watchdog must outlive it to make safe what a death leaves behind.
KillMode=process
KillSignal=SIGTERM
TimeoutStopSec=120

# Nothing to write to but its own data.
ProtectSystem=strict
ProtectHome=read-only
ReadWritePaths={writable}
PrivateTmp=yes
UMask=0077
RuntimeDirectory=rdaq
RuntimeDirectoryMode=0700
Environment=RDAQ_RUN=%t/rdaq RDAQ_STATE={state} TILED_PROFILES={tiled}

# Serial adapters, USB instruments and cameras; pseudo-terminals for simulated ones.
DevicePolicy=closed
DeviceAllow=char-ttyS rw
DeviceAllow=char-ttyUSB rw
DeviceAllow=char-ttyACM rw
DeviceAllow=char-usb_device rw
DeviceAllow=char-usbmisc rw
DeviceAllow=char-hidraw rw

NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
LockPersonality=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
LimitCORE=0
# Connections have a bound of their own, far below; the rest is for ports, files and a stop.
LimitNOFILE=8192

[Install]
WantedBy=multi-user.target
"""


def unit_file(
    words: Sequence[str], *, profile: str, user: str, data: Path, state: Path, writable: Sequence[Path] = ()
) -> str:
    """The text of a unit.

    :param words: the command that it starts, with absolute paths.
    :param profile: for its description.
    :param user: as whom it runs.
    :param data: data directory; ``state``: where the latch is kept. Both, and ``writable``, may be written.
    :raises RdaqError: a path or an argument has a line break.
    """
    places = [data, state, *writable]
    for word in (*words, profile, user, *map(str, places)):
        if any(character in word for character in "\r\n\0"):
            raise RdaqError(f"{word!r} cannot stand in a unit file", hint="give a name without line breaks")
    return TEMPLATE.format(
        profile=_escaped(profile),
        command=" ".join(_quoted(word) for word in words),
        user=user,
        # A leading "-": one that is not there yet is no reason not to start.
        writable=" ".join(f'"-{_escaped(str(path))}"' for path in dict.fromkeys(places)),
        state=_assigned(state),
        tiled=_assigned(data / "session" / "tiled-profiles"),
    )


def _escaped(text: str) -> str:
    """``%`` begins a specifier of systemd."""
    return text.replace("%", "%%")


def _quoted(word: str) -> str:
    """A word of a command line (systemd.service(5), "Command lines"): ``$`` is doubled, too."""
    text = _escaped(word).replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$")
    return f'"{text}"' if not text or any(c in text for c in " \t;'\"\\") else text


def _assigned(path: Path) -> str:
    text = _escaped(str(path))
    return (
        text if not any(c in text for c in " \t'\"\\") else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    )
