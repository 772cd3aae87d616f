"""The startup module that queueserver's worker imports: the rig's session, its devices and plans as names."""

from ._options import WorkerOptions
from ._rig_session import open_session

globals().update(open_session(WorkerOptions.from_environment()).namespace())
