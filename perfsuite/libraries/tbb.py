"""oneTBB: the threads of OpenVINO."""

from __future__ import annotations

from perfsuite.libraries.library import Library

TBB = Library("oneTBB", r"libtbb\.")
