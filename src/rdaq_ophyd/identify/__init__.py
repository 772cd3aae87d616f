"""Which instrument answers on which port: a few read-only questions, each known to do no harm to the others."""

from ._ports import candidates, stable_name
from ._probe import Answer, PortReport, identify, identify_all
from ._probes import PROBES, Kind, Probe, Question
from ._write import profile_text, write_profile

__all__ = [
    "PROBES",
    "Answer",
    "Kind",
    "PortReport",
    "Probe",
    "Question",
    "candidates",
    "identify",
    "identify_all",
    "profile_text",
    "stable_name",
    "write_profile",
]
