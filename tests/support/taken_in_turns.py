"""A run of two cells whose processes took turns, with slices, and a third that was alone."""

from __future__ import annotations

import msgspec
from reported_run import run

from perfsuite.domain.record import Run, Slices

SLICES = (2, 1, 3)


def taken_in_turns() -> Run:
    """Return the run of `reported_run`, the first two cells of which took turns in each round."""
    found = run()
    first, second, *others = found.records.values()
    pair = [
        msgspec.structs.replace(
            one,
            latencies_s={
                number: tuple(samples[0] * (1 + place / 97) for place in range(sum(SLICES)))
                for number, samples in one.latencies_s.items()
            },
            slices={number: Slices(f"group {number}", SLICES) for number in one.latencies_s},
        )
        for one in (first, second)
    ]
    return msgspec.structs.replace(found, records={one.cell.id: one for one in (*pair, *others)})
