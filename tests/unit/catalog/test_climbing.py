"""Addresses that climb out of a folder."""

from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from rdaq_ophyd.catalog._climbing import WithoutClimbing, climbs

PARTS = st.sampled_from(["a", "..", ".", "...", "..a", "", "b.html"])


@given(st.lists(PARTS, max_size=6), st.sampled_from(["/", "\\"]))
def test_what_does_not_climb_stays_below_its_folder(parts, separator):
    path = separator.join(["", *parts])
    assert climbs(path) == bool({".", ".."} & set(parts))
    if not climbs(path):
        root = Path("/files")
        assert (root / path.replace("\\", "/").lstrip("/")).resolve().is_relative_to(root)


@pytest.fixture
async def client(tmp_path):
    (tmp_path / "ui").mkdir()
    (tmp_path / "ui" / "page.html").write_text("a page")
    (tmp_path / "secret").write_text("a secret")

    async def ui(request: Request) -> Response:
        return FileResponse(tmp_path / "ui" / request.path_params["path"])  # as careless as can be

    app = WithoutClimbing(Starlette(routes=[Route("/ui/{path:path}", ui)]))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as made:
        yield made


@pytest.mark.parametrize("way", ["..%2fsecret", "%2e%2e%2fsecret", "a%2f..%2f..%2fsecret", "..%5csecret"])
async def test_no_way_leads_to_the_secret(client, way):
    assert (await client.get(f"/ui/{way}")).status_code == 404


async def test_files_are_served(client):
    assert (await client.get("/ui/page.html")).text == "a page"
