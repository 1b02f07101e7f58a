"""Small ONNX graphs of the operators of the job, drawn at random: pictures, signals and volumes."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from fuzzed_base import Drawing
from hypothesis import strategies as st

SIDE = 8
_STEPS = (
    "conv", "conv", "conv", "transposed", "norm", "activation", "activation", "pool", "concat",
    "split", "sum", "scale", "resize", "move", "softmax", "reduce",
)  # fmt: skip


class Drawn(Drawing):
    """A graph of `rank` spatial axes, all as long: `maps` are values with channels and side."""

    def __init__(self, draw: Any) -> None:
        super().__init__(draw, draw(st.integers(7, 21)))
        self.rank: int = self.pick(2, 2, 2, 1, 3)
        self.spatial, self.ones = list(range(2, 2 + self.rank)), [1] * self.rank
        self.maps: list[tuple[str, int, int]] = [("x", 3, SIDE)]

    def step(self) -> None:
        name, channels, side = self.pick(*self.maps)
        made = getattr(self, self.pick(*_STEPS))(name, channels, side)
        self.maps += [one for one in made if one[2] >= 2]

    def conv(self, name: str, channels: int, side: int) -> list[tuple[str, int, int]]:
        size, dilation = self.pick(1, 3), self.pick(1, 2)
        groups = self.pick(1, 1, channels, 2 if channels % 2 == 0 else 1)
        made = groups * self.pick(1, 4) if groups > 1 else self.pick(4, 8)
        stride = self.pick(1, 1, 2)
        padding: dict[str, Any] = {"pads": [size // 2 * dilation] * 2 * self.rank}
        if dilation == 1 and self.pick(False, True):
            padding = {"auto_pad": self.pick("SAME_UPPER", "SAME_LOWER")}
        inputs = [name, self.weights(made, channels // groups, *[size] * self.rank)]
        if self.pick(False, True):
            inputs.append(self.constant(self.rng.normal(0, 0.2, made)))
        steps = {"dilations": [dilation] * self.rank, "strides": [stride] * self.rank}
        result = self.add("Conv", *inputs, group=groups, **steps, **padding)
        return [(result[0], made, -(-side // stride))]

    def transposed(self, name: str, channels: int, side: int) -> list[tuple[str, int, int]]:
        if side > SIDE:
            return []
        weights = self.weights(channels, 4, *[2] * self.rank)
        result = self.add("ConvTranspose", name, weights, strides=[2] * self.rank)
        return [(result[0], 4, 2 * side)]

    def norm(self, name: str, channels: int, side: int) -> list[tuple[str, int, int]]:
        kinds = [self.rng.uniform(0.5, 1.5, channels), self.rng.normal(0, 0.3, channels)]
        if self.pick(False, False, True):
            values = [self.constant(one) for one in kinds]
            return [(self.add("InstanceNormalization", name, *values)[0], channels, side)]
        kinds += [self.rng.normal(0, 0.3, channels), self.rng.uniform(0.3, 2, channels)]
        values = [self.constant(one) for one in kinds]
        return [(self.add("BatchNormalization", name, *values)[0], channels, side)]

    def activation(self, name: str, channels: int, side: int) -> list[tuple[str, int, int]]:
        kind = self.pick(
            "Relu", "Relu", "Clip", "Sigmoid", "HardSigmoid", "LeakyRelu", "PRelu", "Tanh", "Elu",
            "HardSwish", "Softplus",
        )  # fmt: skip
        if kind == "Clip" and self.opset < 11:
            result = self.add("Clip", name, min=0.0, max=2.0)
        elif kind == "Clip":
            result = self.add("Clip", name, self.constant(0.0), self.constant(2.0))
        elif kind == "PRelu":
            result = self.add("PRelu", name, self.constant(np.full((channels, *self.ones), 0.2)))
        elif kind == "HardSwish" and self.opset < 14:
            result = self.add("Mul", name, self.add("HardSigmoid", name, alpha=1 / 6)[0])
        else:
            result = self.add(kind, name)
        return [(result[0], channels, side)]

    def pool(self, name: str, channels: int, side: int) -> list[tuple[str, int, int]]:
        if side < 3:
            return []
        kind = self.pick("MaxPool", "AveragePool")
        size = self.pick(2, 3)
        settings: dict[str, Any] = {"kernel_shape": [size] * self.rank, "strides": [2] * self.rank}
        if kind == "AveragePool":
            settings["count_include_pad"] = self.pick(0, 1)
        if self.pick(False, False, True):
            settings["auto_pad"] = self.pick("SAME_UPPER", "SAME_LOWER")
            made = -(-side // 2)
        else:
            first, last = self.pick((0, size - 2), (size // 2, size // 2))
            over = side + first + last - size
            made = over // 2 + 1
            settings["pads"] = [first] * self.rank + [last] * self.rank
            if self.opset >= 10 and self.pick(False, True):
                settings["ceil_mode"] = 1  # a window begins in the picture, or does not count
                made = min(-(-over // 2) + 1, (side + first - 1) // 2 + 1)
        return [(self.add(kind, name, **settings)[0], channels, made)]

    def concat(self, name: str, channels: int, side: int) -> list[tuple[str, int, int]]:
        others = [one for one in self.maps if one[2] == side]
        other = self.pick(*others)
        if channels + other[1] > 24:
            return []
        return [(self.add("Concat", name, other[0], axis=1)[0], channels + other[1], side)]

    def split(self, name: str, channels: int, side: int) -> list[tuple[str, int, int]]:
        if channels % 2:
            return []
        half = channels // 2
        if self.opset < 13:
            parts = self.add("Split", name, outputs=2, axis=1, split=[half, half])
        else:
            parts = self.add("Split", name, self.integers(half, half), outputs=2, axis=1)
        return [(part, half, side) for part in parts]

    def sum(self, name: str, channels: int, side: int) -> list[tuple[str, int, int]]:
        others = [one for one in self.maps if one[2] == side and one[1] in (1, channels)]
        operator = self.pick("Add", "Add", "Mul", "Sub", "Max")
        if operator == "Max" and self.opset < 8:
            operator = "Add"
        if self.pick(False, True):
            inner = self.pick((channels, *self.ones), (1,), (1, channels, *self.ones))
            other = self.constant(self.rng.normal(0, 1, inner))
        elif self.pick(False, True):
            other = self.add("GlobalAveragePool", name)[0]
        elif others:
            other = self.pick(*others)[0]
        else:
            return []
        return [(self.add(operator, name, other)[0], channels, side)]

    def scale(self, name: str, channels: int, side: int) -> list[tuple[str, int, int]]:
        gate = self.add("GlobalAveragePool", name)[0]
        gate = self.add("Conv", gate, self.weights(channels, channels, *self.ones))[0]
        gate = self.add("Sigmoid", gate)[0]
        return [(self.add("Mul", gate, name)[0], channels, side)]

    def resize(self, name: str, channels: int, side: int) -> list[tuple[str, int, int]]:
        if side > SIDE:
            return []
        mode, scales = self.pick("nearest", "linear"), [1.0, 1.0, *[2.0] * self.rank]
        if self.opset < 9:
            result = self.add("Upsample", name, mode=mode, scales=scales)
        elif self.opset == 9:
            result = self.add("Upsample", name, self.constant(scales), mode=mode)
        elif self.opset == 10:
            result = self.add("Resize", name, self.constant(scales), mode=mode)
        else:
            form = self.pick("asymmetric", "half_pixel", "align_corners")
            more = {"mode": mode, "coordinate_transformation_mode": form}
            if mode == "nearest":
                more["nearest_mode"] = "floor"
            empty = self.constant([]) if self.opset < 13 else ""
            result = self.add("Resize", name, empty, self.constant(scales), **more)
        return [(result[0], channels, 2 * side)]

    def move(self, name: str, channels: int, side: int) -> list[tuple[str, int, int]]:
        kind, spatial = self.pick("Identity", "Transpose", "Reshape", "Pad", "Slice"), self.spatial
        if kind == "Transpose" and self.rank > 1:
            result = self.add("Transpose", name, perm=[0, 1, *spatial[::-1]])
        elif kind == "Reshape" and channels % 2 == 0:
            sides = [side] * self.rank
            turned = self.add("Reshape", name, self.integers(0, 2, channels // 2, *sides))
            perm = [0, 2, 1, *range(3, 3 + self.rank)]
            turned = self.add("Transpose", turned[0], perm=perm)
            result = self.add("Reshape", turned[0], self.integers(0, channels, *sides))
        elif kind == "Pad" and side <= SIDE:
            first = [axis % 2 for axis in spatial]
            pads = [0, 0, *first, 0, 0, *(1 - one for one in first)]
            mode = self.pick("constant", "reflect", "edge")
            if self.opset < 11:
                result = self.add("Pad", name, pads=pads, mode=mode)
            else:
                result = self.add("Pad", name, self.integers(*pads), mode=mode)
            side += 1
        elif kind == "Slice" and side > 2:
            starts = [1 - axis % 2 for axis in spatial]
            ends = [side - 1 if axis % 2 else 99 for axis in spatial]
            if self.opset < 10:
                result = self.add("Slice", name, axes=spatial, starts=starts, ends=ends)
            else:
                numbers = (starts, ends, spatial)
                result = self.add("Slice", name, *(self.integers(*one) for one in numbers))
            side -= 1
        else:
            result = self.add("Identity", name)
        return [(result[0], channels, side)]

    def reduce(self, name: str, channels: int, side: int) -> list[tuple[str, int, int]]:
        small = self.reduced(name, self.spatial, keep=True)
        return [(self.add(self.pick("Add", "Mul", "Sub"), name, small)[0], channels, side)]

    def softmax(self, name: str, channels: int, side: int) -> list[tuple[str, int, int]]:
        last = self.rank + 1
        axis = last if self.opset < 13 else self.pick(1, last)
        return [(self.add("Softmax", name, axis=axis)[0], channels, side)]

    def head(self, name: str, channels: int, side: int) -> str:
        kind = self.pick("none", "gemm", "matmul", "flatten")
        if kind == "none":
            return name
        if kind == "flatten" and side**self.rank <= 16:
            channels *= side**self.rank
        elif self.pick(False, True):
            name = self.reduced(name, self.spatial, keep=self.pick(True, False))
        else:
            name = self.add("GlobalAveragePool", name)[0]
        name = self.add("Flatten", name)[0]
        bias = self.constant(self.rng.normal(0, 0.2, 5))
        if kind == "matmul":
            return self.add("Add", self.add("MatMul", name, self.weights(channels, 5))[0], bias)[0]
        if self.pick(False, True):
            return self.add("Gemm", name, self.weights(5, channels), bias, transB=1)[0]
        return self.add("Gemm", name, self.weights(channels, 5), bias, alpha=self.pick(1.0, 0.5))[0]

    def model(self) -> onnx.ModelProto:
        for _ in range(self.draw(st.integers(1, 9))):
            self.step()
        names = [self.head(*self.maps[-1])]
        if self.pick(False, False, True):
            names.append(self.pick(*self.maps)[0])
        return self.written([3, *[SIDE] * self.rank], names)


@st.composite
def graphs(draw: Any) -> onnx.ModelProto:
    return Drawn(draw).model()
