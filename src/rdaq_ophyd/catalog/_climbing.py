"""Refuses addresses that climb out of a folder before Tiled sees them.

Tiled 0.2.20 looks for the files of its pages below ``/ui/`` by whatever the address says, before it asks who it is:
``/ui/..%2f..%2fetc%2fpasswd`` reads any file that its process may read, for every user of the machine.
"""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

__all__ = ["WithoutClimbing", "climbs"]


class WithoutClimbing:
    """An application without such addresses.

    :param app: that is served.
    """

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request, or hand it on."""
        if scope["type"] == "http" and climbs(scope["path"]):
            await Response(status_code=404)(scope, receive, send)
            return
        await self._app(scope, receive, send)


def climbs(path: str) -> bool:
    """Whether a path, decoded, has a part ``.`` or ``..``; a backslash separates parts too, as on Windows."""
    return not {".", ".."}.isdisjoint(path.replace("\\", "/").split("/"))
