"""Faults on NVIDIA cards: cuDNN unused or badly set, the memory layout, a slowed or shared card."""

from __future__ import annotations

import re
from collections.abc import Iterator

from perfsuite.domain.finding import Finding
from perfsuite.libraries.facts import Facts, listed

TITLE = "cuDNN"
CARD = "card"
_BENCHMARK, _ENABLED = "cudnn.benchmark", "cudnn.enabled"
_DEPTHWISE = re.compile(r"depthwise|dw", re.IGNORECASE)  # PyTorch's own kernels are made for these
_TENSOR_CORES_SINCE = 80  # sm_80: TF32


def faults(facts: Facts) -> Iterator[Finding]:
    """Yield what keeps a net on a card from its libraries, and what slows the card down."""
    yield from _card(facts)
    if facts.device == "cuda" and _ENABLED in facts.said("setting"):
        yield from _unused(facts)
        yield from _settings(facts)
        yield from _layout(facts)


def _unused(facts: Facts) -> Iterator[Finding]:
    convolutions = [
        layer
        for layer in facts.products
        if "conv" in layer.operator.lower() and not _DEPTHWISE.search(layer.operator + layer.kernel)
    ]
    others = [layer for layer in convolutions if layer.library and layer.library != TITLE]
    off = facts.said("setting").get(_ENABLED) == "off"
    ran = TITLE in facts.said("kernels")
    counted = [name for name in facts.evidence.kernels if name.startswith(("conv", "thnn_conv"))]
    if off and (convolutions or counted):
        words = "it is turned off"
    elif convolutions and len(others) == len(convolutions) and not ran:
        words = f"{len(others)} convolutions run on other kernels"
    else:
        return
    yield Finding(
        "cudnn-not-used",
        TITLE,
        f"cuDNN is there and not used: {words}"
        + (f" ({listed([layer.layer for layer in others])})" if others else ""),
        "torch.backends.cudnn.enabled = True, and no torch.backends.cudnn.flags(enabled=False) "
        "around the call",
        "observed" if others else "reported",
    )


def _settings(facts: Facts) -> Iterator[Finding]:
    settings, kernels = facts.said("setting"), facts.said("kernels")
    convolves = TITLE in kernels or any(one.library == TITLE for one in facts.products)
    if convolves and settings.get(_BENCHMARK) == "off":
        yield Finding(
            "cudnn-benchmark-off",
            TITLE,
            "cuDNN chooses its algorithms by a rule, though all shapes are fixed and it could try "
            "them once (cudnn.benchmark is off)",
            "torch.backends.cudnn.benchmark = True, before the first call",
            "reported",
            "caution",
        )
    computes = convolves or "cuBLAS" in kernels
    sm = re.fullmatch(r"sm_(\d+)", settings.get("compute capability", ""))
    capable = sm is not None and int(sm[1]) >= _TENSOR_CORES_SINCE
    if computes and capable and facts.precision == "fp32":
        yield Finding(
            "tf32-off",
            "CUDA",
            "products of float32 run without the card's tensor cores: TF32 is off, as fp32 was "
            "asked for",
            'ask for it where 10 bits of mantissa are enough: precision = "tf32"',
            "reported",
            "caution",
        )


def _layout(facts: Facts) -> Iterator[Finding]:
    text = facts.said("kernels").get(TITLE, "")
    text += " ".join(layer.kernel for layer in facts.evidence.layers)
    changes = re.match(r"(\d+)", facts.said("layout").get("reorders", "0"))
    if re.search(r"nchwToNhwc|nhwcToNchw", text) or (changes and int(changes[1])):
        yield Finding(
            "cudnn-layout",
            TITLE,
            "cuDNN changes the memory layout of pictures in each call (nchwToNhwc): its kernels "
            "want channels last",
            "take the runtime pytorch-channels-last, or model.to(memory_format=torch.channels_last)"
            " and the same for the inputs",
            "observed",
        )


def _card(facts: Facts) -> Iterator[Finding]:
    items = facts.evidence.items
    for name in facts.said("throttled"):
        why = [one.value for one in items if (one.about, one.name) == ("throttled", name)]
        yield Finding(
            "gpu-throttled",
            CARD,
            f"{name} is slowed down: {listed(why)}",
            "let it cool down, see to its airflow; nvidia-smi -q -d PERFORMANCE,POWER tells the "
            "reason, and sudo nvidia-smi -pl WATTS raises a power cap",
            "reported",
            "caution" if why == ["power cap"] else "fault",  # large ones reach theirs in any case
        )
    for name, value in facts.said("shared").items():
        yield Finding(
            "gpu-shared",
            CARD,
            f"{name} is shared: {value}",
            "end it (nvidia-smi lists who it is), or take another card by CUDA_VISIBLE_DEVICES",
            "reported",
        )
