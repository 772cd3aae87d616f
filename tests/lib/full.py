"""Tests of some minutes each; `make test` has shorter ones of the same parts."""

from __future__ import annotations

import os

import pytest

only_in_full = pytest.mark.skipif(not os.environ.get("RDAQ_TEST_FULL"), reason="takes minutes: RDAQ_TEST_FULL=1")
