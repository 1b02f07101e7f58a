"""Each binary layer of a stored run beside the same layer in fp32 on OpenVINO.

    python benchmarks/binary_layers.py reports/binary

A binary layer's time is that of its convolution with all that is fused to it: scale, shift,
shortcut, PReLU and the next signs. Of fp32 it is that of the convolution and what OpenVINO fuses.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from fnmatch import fnmatch

from perfsuite import api
from perfsuite.domain.profile import BreakdownRow

FP32, BINARY = "*/fp32/openvino/*", "*/binary/perfsuite-binary/*"


def layers(rows: tuple[BreakdownRow, ...]) -> Iterator[BreakdownRow]:
    """Yield all rows of modules."""
    for row in rows:
        if row.level == "module":
            yield row
        yield from layers(row.children)


def convolution(row: BreakdownRow, kind: str) -> bool:
    """Tell whether an operator of the row is of the kind."""
    return any(child.name.split("/")[-1].startswith(kind) for child in row.children)


def main(folder: str) -> int:
    """Print a table for each net."""
    run = api.show(folder).run
    found = {
        record.cell.key: record.breakdown for record in run.records.values() if record.breakdown
    }
    for key, breakdown in found.items():
        if not fnmatch(key, BINARY):
            continue
        net = key.split("/")[0]
        real = next((b for k, b in found.items() if fnmatch(k, f"{net}/{FP32[2:]}")), None)
        if real is None:
            continue
        times = {row.name: row.time_s for row in layers(real.rows)}
        print(f"\n{net}\n\n| layer | MACs | fp32, OpenVINO | binary | times as fast |")
        print("| --- | ---: | ---: | ---: | ---: |")
        macs = {row.name: row.macs for row in layers(real.rows)}
        for row in layers(breakdown.rows):
            name = row.name.removesuffix(".conv")
            if convolution(row, "BinaryConv") and name in times:
                before, after = times[name] * 1e6, row.time_s * 1e6
                size = f"{(macs[name] or 0) / 1e6:.1f} M"
                ratio = f"{before / after:.1f}"
                print(f"| {name} | {size} | {before:.0f} us | {after:.1f} us | {ratio} |")
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
