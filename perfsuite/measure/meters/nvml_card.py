"""Which card NVML is to tell of: the one that CUDA uses first in this process."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

from perfsuite.errors import Unavailable

VISIBLE, ORDER = "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"
BY_PLACE = "PCI_BUS_ID"  # as NVML counts, and CUDA in the processes that perfsuite starts
_SLICE = "MIG-"


class Card(NamedTuple):
    """NVML's handles of a card, and of the slice of it (MIG) that CUDA uses, if it is cut up."""

    whole: Any
    part: Any = None


def first_card(nvml: Any) -> Card:
    """Return the card that CUDA uses first; raise `Unavailable` where that is not known.

    What NVML raises comes through.
    """
    named = os.environ.get(VISIBLE, "").partition(",")[0].strip() or "0"
    if named.startswith(_SLICE):
        part = nvml.nvmlDeviceGetHandleByUUID(named)
        return Card(nvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(part), part)
    if named.isdigit():
        order = os.environ.get(ORDER, BY_PLACE)
        if order != BY_PLACE and nvml.nvmlDeviceGetCount() > 1:
            raise Unavailable(
                f"CUDA counts cards in another order than NVML ({ORDER} is {order}), so that it is "
                f"not known which one it uses: set {ORDER}={BY_PLACE}, or name a card by its UUID "
                f"in {VISIBLE}"
            )
        whole = nvml.nvmlDeviceGetHandleByIndex(int(named))
    else:
        whole = _by_uuid(nvml, named)
    return Card(whole, _first_part(nvml, whole))


def _by_uuid(nvml: Any, named: str) -> Any:
    """Return the card of a UUID, of which CUDA takes the beginning as well."""
    for index in range(nvml.nvmlDeviceGetCount()):
        card = nvml.nvmlDeviceGetHandleByIndex(index)
        if str(nvml.nvmlDeviceGetUUID(card)).startswith(named):
            return card
    raise Unavailable(
        f"{VISIBLE} names '{named}', and no card has such a UUID; `nvidia-smi -L` lists them"
    )


def _first_part(nvml: Any, whole: Any) -> Any:
    """Return the slice of a card that CUDA takes by itself; None of one that is not cut up."""
    try:
        current, _ = nvml.nvmlDeviceGetMigMode(whole)
    except nvml.NVMLError:  # a card that cannot be
        return None
    if not current:
        return None
    for index in range(nvml.nvmlDeviceGetMaxMigDeviceCount(whole)):
        try:
            return nvml.nvmlDeviceGetMigDeviceHandleByIndex(whole, index)
        except nvml.NVMLError:  # numbers have gaps
            continue
    return None
