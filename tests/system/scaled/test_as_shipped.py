"""The files of profiles/scaled as they are, with other ports and paths: unit, environment, nginx, signing keys."""

from __future__ import annotations

import re
import secrets
import shlex
import shutil
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from certificates import Authority
from nginx import changed, running
from scaled import SCALED, Lab, TiledWorkers, free_port, until
from sharingrigs import Directory

from rdaq_ophyd.cli import main

pytestmark = [pytest.mark.usefixtures("untraced"), pytest.mark.timeout(300)]
UNIT = SCALED / "rdaq-tiled.service"


def unit_says(name: str) -> str:
    """The value of a line of the unit, continued lines joined."""
    (found,) = re.findall(rf"^{name}=(.*)$", UNIT.read_text().replace("\\\n", " "), re.MULTILINE)
    return found


class FromUnit(TiledWorkers):
    """What the unit starts, with one worker, on another port."""

    def command(self) -> list[str]:
        said = {
            "/opt/rdaq/bin/python": sys.executable,
            "--port 8000": f"--port {self.port}",
            "--workers 4": "--workers 1",
        }
        return shlex.split(changed(unit_says("ExecStart"), said))


@contextmanager
def from_unit(lab: Lab, folder: Path, **variables: str) -> Iterator[FromUnit]:
    """It, with the lab's databases; the file of the environment names all that it needs."""
    folder.mkdir()
    names = re.findall(r"^(\w+)=", (SCALED / "tiled.env.example").read_text(), re.MULTILINE)
    assert unit_says("Environment") == "TILED_CONFIG=/etc/rdaq/config.yml"
    server = FromUnit(folder, {name: {**lab.variables, **variables}[name] for name in names})
    try:
        server.start()
        yield server
    finally:
        server.stop()


def asked(server: TiledWorkers, authorization: str) -> int:
    """The status of a question with that key or token."""
    headers = {"Authorization": authorization}
    return httpx.get(f"{server.uri}/metadata/", headers=headers, timeout=60, trust_env=False).status_code


def test_a_rig_is_checked_through_nginx_and_signing_keys_change_without_a_gap(
    lab: Lab, keys, tmp_path: Path, monkeypatch, capsys
) -> None:
    before = f"Bearer {lab.admin()}"
    key = f"Apikey {keys[1]}"
    assert (asked(lab.tiled, before), asked(lab.tiled, key)) == (200, 200)
    new = secrets.token_hex(32)
    with from_unit(lab, tmp_path / "first", RDAQ_TILED_SECRET_KEY=new) as server:
        # A token that was signed with the old key still counts, and who logs in gets one of the new key.
        assert (asked(server, before), asked(server, key)) == (200, 200)
        form = {"username": "admin", "password": lab.password, "grant_type": "password"}
        answer = httpx.post(f"{server.uri}/auth/provider/lab/token", data=form, timeout=60, trust_env=False)
        after = f"Bearer {answer.json()['access_token']}"
        port, authority = free_port(), Authority(tmp_path)
        said = {
            "443": f"127.0.0.1:{port}",
            "catalog.lab.example": "localhost",
            "/etc/rdaq/tls/catalog.crt": f"{tmp_path}/cert.pem",
            "/etc/rdaq/tls/catalog.key": f"{tmp_path}/key.pem",
            "127.0.0.1:8000": f"127.0.0.1:{server.port}",
            "/var/log/nginx/rdaq.log": f"{tmp_path}/access.log",
        }
        with running(tmp_path, changed((SCALED / "nginx.conf").read_text(), said), port):
            rig = Directory(lab, tmp_path / "rig", "proxied", keys=keys, uri=f"https://localhost:{port}/api/v1")
            monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
            code = main(["catalog", "check", str(rig.root)])
            told = capsys.readouterr().out
            assert code == 0, told
            assert f"https://localhost:{port}" in told
            assert "ok      subscribe" in told
            # Who puts a key into an address does not find it in the log.
            asked_so = f"https://localhost:{port}/api/v1/metadata/?api_key={keys[1]}"
            with httpx.Client(verify=ssl.create_default_context(cafile=authority.certificate)) as client:
                assert client.get(asked_so, timeout=60).status_code == 200
            log = tmp_path / "access.log"
            until(lambda: '"GET /api/v1/metadata/"' in log.read_text(), 20, "a line of the log")
            assert keys[1] not in log.read_text()
            assert (tmp_path / "default.log").read_text() == ""
    with from_unit(lab, tmp_path / "later", RDAQ_TILED_SECRET_KEY=new, RDAQ_TILED_OLD_SECRET_KEY=new) as server:
        assert (asked(server, before), asked(server, after), asked(server, key)) == (401, 200, 200)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    unit.write_text(changed(UNIT.read_text(), {"/opt/rdaq/bin/python": sys.executable, "User=tiled": "User=daemon"}))
    command = ["systemd-analyze", "verify", "--man=no", "--generators=no", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert [line for line in done.stderr.splitlines() if UNIT.name in line] == []
    assert done.returncode == 0, done.stderr
