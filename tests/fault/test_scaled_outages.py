"""PostgreSQL, Redis, a process of Tiled killed in the middle of a run, a key replaced: nothing is lost or doubled."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from full import only_in_full
from scaled import WRITER, Lab, scaled, until
from sharingrigs import Directory, Rig, check_run

from rdaq_ophyd.catalog.__main__ import connect
from rdaq_ophyd.catalog._backlog import pending_runs
from rdaq_ophyd.catalog._files import read_json

pytestmark = [only_in_full, pytest.mark.usefixtures("untraced"), pytest.mark.timeout(900)]


def begun(lab: Lab, rig: Rig) -> Callable[[], bool]:
    """Whether the catalog has the beginning of the run that is being recorded."""
    (uid,) = rig.spool.open_runs
    headers = {"Authorization": f"Apikey {rig.directory.writer}"}
    return lambda: httpx.get(f"{lab.tiled.uri}/metadata/{uid}", headers=headers, timeout=30).status_code == 200


def trouble(rig: Rig) -> str:
    return str((read_json(rig.layout.spool / "status.json") or {}).get("error", ""))


def test_whatever_is_killed_in_the_middle_of_a_run(tmp_path: Path) -> None:
    with scaled() as lab:
        rig = Rig(Directory(lab, tmp_path / "rig", "rig"))
        said = {}

        def kill_postgres() -> None:
            until(begun(lab, rig), what="the beginning of the run")
            lab.postgres.kill()

        def kill_redis() -> None:
            until(begun(lab, rig), what="the beginning of the run")
            lab.redis.kill()

        def kill_a_worker() -> None:
            until(begun(lab, rig), what="the beginning of the run")
            os.kill(lab.tiled.pids()[0], signal.SIGKILL)

        with rig.working():
            uids = [rig.scan(kill_postgres)]
            until(lambda: trouble(rig), what="word of the outage")
            said["postgres"] = trouble(rig)
            uids.append(rig.scan())  # nobody waits
            assert not any(run.delivery.parked for run in pending_runs(rig.layout))
            lab.postgres.start()
            until(rig.drained, what="what was recorded without PostgreSQL")

            uids.append(rig.scan(kill_redis))
            until(lambda: trouble(rig), what="word of the outage")
            said["redis"] = trouble(rig)
            lab.redis.start()
            until(rig.drained, what="what was recorded without Redis")

            uids.append(rig.scan(kill_a_worker))
            until(rig.drained, what="what was recorded as a worker died")

            uids.append(rig.scan(lambda: revoke(lab, rig)))
            until(lambda: trouble(rig), what="word of the key")
            said["key"] = trouble(rig)
            (lab.folder / f"{rig.directory.writer[:8]}.key").write_text(lab.key("rdaq-writer", WRITER))
            until(rig.drained, what="what was recorded without a key")

            client = connect(rig.layout)
            assert sorted(client) == sorted(uids)
            for uid in uids:
                check_run(client, uid)
            client.context.close()
        assert said["postgres"].startswith("Tiled answers, its database does not") or "401" in said["postgres"], said
        assert said["redis"], said
        assert said["key"].startswith("the catalog does not know the key"), said


def revoke(lab: Lab, rig: Rig) -> None:
    """The administrator takes the rig's key back in the middle of a run."""
    until(begun(lab, rig), what="the beginning of the run")
    token, first = lab.admin(), rig.directory.writer[:8]
    for principal in lab.ask("GET", "/auth/principal", token, params={"limit": 100}):
        if any(key["first_eight"] == first for key in principal["api_keys"]):
            lab.ask("DELETE", f"/auth/principal/{principal['uuid']}/apikey", token, params={"first_eight": first})
