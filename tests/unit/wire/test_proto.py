"""The generated messages are those of daq.proto."""

import subprocess
import sys
from pathlib import Path

import pytest

WIRE = Path(__file__).parents[3] / "src" / "rdaq_ophyd" / "wire"


def test_they_are_what_the_generator_makes_of_it_now(tmp_path):
    pytest.importorskip("grpc_tools", reason="the generator is not installed")
    (tmp_path / "rdaq_ophyd" / "wire").mkdir(parents=True)
    command = [sys.executable, "-m", "grpc_tools.protoc", "-I", str(WIRE.parents[1])]
    outputs = [f"--{what}_out={tmp_path}" for what in ("python", "pyi", "grpc_python")]
    subprocess.run([*command, *outputs, str(WIRE / "daq.proto")], check=True, timeout=60)
    made = sorted((tmp_path / "rdaq_ophyd" / "wire").iterdir())
    assert [path.name for path in made] == ["daq_pb2.py", "daq_pb2.pyi", "daq_pb2_grpc.py"]
    for path in made:
        assert path.read_text() == (WIRE / path.name).read_text(), "run `make proto`"
