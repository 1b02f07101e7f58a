"""Devices: the identity of a processor or card, and how graphs are quantized for one."""

from __future__ import annotations

from typing import Literal

import msgspec

PROCESSOR = "cpu"  # the kind of device that every machine has


class DeviceIdentity(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which processor or card it is.

    Times of devices with different identities are not compared, and artifacts built for one are not
    used on another. Nothing in it names the machine.
    """

    kind: str  # as suites name it in `devices`, such as "cpu" and "cuda"
    name: str = ""  # vendor and model, such as "NVIDIA H100 80GB HBM3"; empty: not known
    # What the choice of kernels depends on, such as ("avx2", "avx512_vnni") or ("sm_90",).
    features: tuple[str, ...] = ()
    must_match: dict[str, str] = {}  # more that times depend on, such as {"power limit": "700 W"}

    @property
    def is_processor(self) -> bool:
        """Tell whether it is the processor, which is also in the environment of a run."""
        return self.kind == PROCESSOR

    @property
    def key(self) -> str:
        """Return, as text, all that artifacts and times of the device depend on.

        Of a processor these are only the features, because virtual machines of one kind run on
        processors with different names.
        """
        if self.is_processor:
            return " ".join(self.features)
        return msgspec.json.encode(self, order="deterministic").decode()

    def __str__(self) -> str:
        """Return the name, or that the device of this kind has none."""
        return self.name or f"an unnamed {self.kind} device"


def told_apart(one: DeviceIdentity, other: DeviceIdentity) -> tuple[str, str]:
    """Return two texts that name both and differ: their names, or where these are equal, more."""
    if str(one) != str(other):
        return str(one), str(other)
    fields = ("kind", "features", "must_match")
    unequal = [name for name in fields if getattr(one, name) != getattr(other, name)]
    texts = [", ".join(_field_text(each, name) for name in unequal) for each in (one, other)]
    return f"{one} with {texts[0]}", f"{other} with {texts[1]}"


def _field_text(device: DeviceIdentity, name: str) -> str:
    value = getattr(device, name)
    if isinstance(value, dict):
        return ", ".join(f"{key} {one}" for key, one in sorted(value.items())) or "no more"
    return f"{name} {value if isinstance(value, str) else ', '.join(value) or 'none'}"


class QuantizedGraphs(msgspec.Struct, frozen=True):
    """How a runtime wants quantized graphs (explicit Q/DQ pairs) to be written.

    - `activations`: their type. "uint8" where a ReLU is fused into the rounding only if zero is
      the least value of the type; "int8" has zero point 0. Weights are int8 always.
    - `sum_in_accumulator`: a shortcut is added to a convolution's result before that is rounded;
      otherwise every value between two operators is quantized.
    - `weight_bits`: 7 (-63 to 63) where two 8-bit products are added in 16 bits, which saturate.
    - `float_operators`: operators that it has no 8-bit kernels for, such as ConvTranspose; they
      stay as they are.
    - `pairs_before_layers`: a layer is computed in 8 bits if a pair stands directly before it, also
      where pooling or a change of shape lies between it and the values' own pair. Without it an
      engine with `sum_in_accumulator` finds by itself what carries 8-bit values to a layer.
    """

    activations: Literal["uint8", "int8"] = "uint8"
    sum_in_accumulator: bool = False
    weight_bits: Literal[7, 8] = 8
    float_operators: tuple[str, ...] = ()
    pairs_before_layers: bool = False
