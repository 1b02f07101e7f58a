"""The run that several files of the long proof are about, made once."""

from __future__ import annotations

import pytest
from stages_run import OUT, ROOT

from perfsuite import api
from perfsuite.domain.judgement import Judgement
from perfsuite.domain.record import Run


@pytest.fixture(scope="session")
def stages() -> tuple[Run, Judgement]:
    """Return the run of `benchmarks/stages.toml`, gone on with where it was cut short."""
    resume = (OUT / "run.jsonl").exists()
    _, run, judgement = api.run(ROOT / "benchmarks" / "stages.toml", OUT, resume=resume)
    return run, judgement


@pytest.fixture(scope="session")
def run(stages: tuple[Run, Judgement]) -> Run:
    """Return what was found."""
    return stages[0]
