"""A certificate written by hand."""

from __future__ import annotations

from judged_runs import MACHINE

from perfsuite.domain.certificate import (
    CERTIFICATE_SCHEMA,
    Certificate,
    CertifiedCell,
    KnownChange,
    Power,
    Visible,
)
from perfsuite.domain.looks import Looks
from perfsuite.domain.verdict import Interval

CERTIFICATE = Certificate(
    schema=CERTIFICATE_SCHEMA,
    created_at="2026-11-26T12:00:00+00:00",
    perfsuite="1.0",
    machine=MACHINE.must_match,
    suite="built-in",
    quick=False,
    looks=Looks(4, 24),
    rounds=20,
    round_s=6.0,
    spread=0.04,
    between_runs=0.02,
    false_alarms=Interval(0.0, 0.0, 0.002),
    coverage=Interval(0.95, 0.7, 0.99),
    power=(
        Power(0.03, Interval(0.81, 0.7, 0.9)),
        Power(0.05, Interval(0.97, 0.95, 1.0)),
        Power(0.1, Interval(1.0, 1.0, 1.0)),
    ),
    visible=(
        Visible(4, 0.15, 0.3),
        Visible(8, 0.07, 0.1),
        Visible(12, 0.05, 0.07),
        Visible(24, 0.03, 0.04),
    ),
    cells=(
        CertifiedCell(
            "vgg/fp32/onnxruntime/cpu/b1",
            0.04,
            (
                KnownChange(0.0, Interval(0.001, -0.017, 0.019)),
                KnownChange(0.05, Interval(0.052, 0.03, 0.07)),
            ),
        ),
    ),
)
