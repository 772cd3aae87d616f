"""Keys of a Tiled with logins: two are valid at once, so that one takes the other's place without a gap."""

from __future__ import annotations

import subprocess
import sys

import httpx
import pytest
import yaml
from nginx import free_ports
from proxied import wait_for
from tiled.client import from_uri

SCOPES = ["read:metadata", "read:data"]
#: As `tiled serve config` does, but with the file of its catalog made here: that would import Tiled once more for it.
SERVES = """
import sys, uvicorn, yaml
from tiled.config import Config
from tiled.server.app import build_app_from_config
from rdaq_ophyd.catalog._database import prepare_database
config = yaml.safe_load(open(sys.argv[1]))
prepare_database(config["trees"][0]["args"]["uri"])
uvicorn.run(build_app_from_config(Config.model_validate(config)), port=int(sys.argv[2]), log_level="warning")
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory, untraced):
    """Tiled as it is, with a person who logs in."""
    folder = tmp_path_factory.mktemp("tiled")
    config = {
        "authentication": {
            "providers": [
                {
                    "provider": "lab",
                    "authenticator": "tiled.authenticators:DictionaryAuthenticator",
                    "args": {"users_to_passwords": {"ada": "ada-password"}},
                }
            ],
            "tiled_admins": [{"provider": "lab", "id": "ada"}],
            "secret_keys": ["s" * 64],
        },
        "database": {"uri": f"sqlite:///{folder / 'people.db'}", "init_if_not_exists": True},
        "trees": [
            {
                "path": "/",
                "tree": "catalog",
                "args": {
                    "uri": f"sqlite:///{folder / 'catalog.db'}",
                    "writable_storage": [str(folder / "data")],
                },
            }
        ],
    }
    (folder / "config.yml").write_text(yaml.safe_dump(config))
    (port,) = free_ports(1)
    words = [str(folder / "config.yml"), str(port)]
    with (folder / "log").open("w") as log, subprocess.Popen(
        [sys.executable, "-X", "preloaded", "-c", SERVES, *words], stdout=log, stderr=log
    ) as process:  # fmt: skip
        uri = f"http://127.0.0.1:{port}/api/v1"

        def up():
            assert process.poll() is None, (folder / "log").read_text()[-3000:]
            try:
                return httpx.get(f"{uri}/", trust_env=False).status_code == 200
            except httpx.TransportError:
                return False

        try:
            wait_for(up, 100)
            yield uri
        finally:
            process.terminate()


@pytest.fixture
def ada(server):
    """A context of hers."""
    answer = httpx.post(
        f"{server}/auth/provider/lab/token", data={"username": "ada", "password": "ada-password"}, trust_env=False
    )
    made = httpx.Client(
        base_url=server, headers={"Authorization": f"Bearer {answer.json()['access_token']}"}, trust_env=False
    )
    yield made
    made.close()


def new_key(ada, note):
    answer = ada.post("/auth/apikey", json={"scopes": SCOPES, "expires_in": 90 * 86400, "note": note})
    assert answer.status_code == 200, answer.text
    return answer.json()


def reads(server, key):
    """What the catalog says to a request with that key."""
    headers = {"Authorization": f"Apikey {key['secret']}"}
    return httpx.get(f"{server}/search/", headers=headers, trust_env=False).status_code


def test_a_key_takes_another_s_place_without_a_gap(server, ada):
    old, new = new_key(ada, "2026"), new_key(ada, "2027")
    assert [reads(server, key) for key in (old, new)] == [200, 200]
    assert ada.delete("/auth/apikey", params={"first_eight": old["first_eight"]}).is_success
    assert [reads(server, key) for key in (old, new)] == [401, 200]


def test_a_key_has_its_scopes_and_no_more(server, ada):
    reader = from_uri(server, api_key=new_key(ada, "reads")["secret"])
    with pytest.raises(httpx.HTTPStatusError, match="40[13]"):
        reader.create_container("mine")
    reader.context.http_client.close()
