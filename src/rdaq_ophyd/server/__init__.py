"""The rig for other processes and machines: a gRPC service inside the process that owns the ports."""

from ._access import Access, Role, Token, read_tokens
from ._daemon import Daemon
from ._limits import Limits
from ._server import Server, serve
from ._token_file import TokenFile

__all__ = ["Access", "Daemon", "Limits", "Role", "Server", "Token", "TokenFile", "read_tokens", "serve"]
