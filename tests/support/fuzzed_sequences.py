"""Small ONNX graphs over sequences, drawn at random: recurrent layers, attention, products."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from fuzzed_base import Drawing
from hypothesis import strategies as st

TOKENS, FEATURES = 6, 8
Value = tuple[str, int, int]  # its name, tokens and features
_GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
_STEPS = (
    "linear", "linear", "linear", "recurrent", "attention", "product", "norm", "activation", "move",
    "sum", "concat", "split", "reduce", "convolution",
)  # fmt: skip


class DrawnSequence(Drawing):
    """A graph as it grows: `values` have the axes batch, tokens and features."""

    def __init__(self, draw: Any) -> None:
        super().__init__(draw, draw(st.integers(9, 21)))
        self.values: list[Value] = [("x", TOKENS, FEATURES)]

    def step(self) -> None:
        name, tokens, features = self.pick(*self.values)
        made = getattr(self, self.pick(*_STEPS))(name, tokens, features)
        self.values += [one for one in made if one[1] <= 12 and one[2] <= 48]

    def linear(self, name: str, tokens: int, features: int) -> list[Value]:
        made = self.pick(4, 8)
        result = self.add("MatMul", name, self.weights(features, made, fan=features))[0]
        if self.pick(False, True):
            bias = self.constant(self.rng.normal(0, 0.2, made))
            result = self.add("Add", *self.pick((result, bias), (bias, result)))[0]
        return [(result, tokens, made)]

    def recurrent(self, name: str, tokens: int, features: int) -> list[Value]:
        kind, size = self.pick("GRU", "LSTM", "RNN"), 4
        way = self.pick("forward", "reverse", "bidirectional")
        ways, gates = 2 if way == "bidirectional" else 1, _GATES[kind] * size
        inputs = [
            self.add("Transpose", name, perm=[1, 0, 2])[0],
            self.weights(ways, gates, features, fan=2 * features),
            self.weights(ways, gates, size, fan=2 * size),
        ]
        if self.pick(False, True):
            inputs.append(self.constant(self.rng.normal(0, 0.1, (ways, 2 * gates))))
        more = {"linear_before_reset": self.pick(0, 1)} if kind == "GRU" else {}
        result = self.add(kind, *inputs, hidden_size=size, direction=way, **more)[0]
        # (tokens, ways, batch, size): to (batch, tokens, ways * size).
        turned = self.add("Transpose", result, perm=[2, 0, 1, 3])[0]
        shaped = self.add("Reshape", turned, self.integers(0, tokens, ways * size))
        return [(shaped[0], tokens, ways * size)]

    def attention(self, name: str, tokens: int, features: int) -> list[Value]:
        heads = self.pick(1, 2, tokens)
        width = 4 * heads if heads == tokens else 8
        heads_of = self._joined if self.pick(False, True) else self._apart
        query, key, value = heads_of(name, features, (tokens, heads, width // heads))
        turned = self.add("Transpose", key, perm=[0, 1, 3, 2])[0]
        scores = self.add("MatMul", query, turned)[0]
        scaled = self.add("Mul", scores, self.constant(0.5))[0]
        mixed = self.add("MatMul", self.add("Softmax", scaled, axis=3)[0], value)[0]
        back = self.add("Transpose", mixed, perm=[0, 2, 1, 3])[0]
        return [(self.add("Reshape", back, self.integers(0, tokens, width))[0], tokens, width)]

    def _apart(self, name: str, features: int, sides: tuple[int, int, int]) -> list[str]:
        """Return query, key and value, each of a product of its own."""
        width, shape, found = sides[1] * sides[2], self.integers(0, *sides), []
        for _ in range(3):
            projected = self.add("MatMul", name, self.weights(features, width, fan=features))[0]
            parted = self.add("Reshape", projected, shape)[0]
            found.append(self.add("Transpose", parted, perm=[0, 2, 1, 3])[0])
        return found

    def _joined(self, name: str, features: int, sides: tuple[int, int, int]) -> list[str]:
        """Return query, key and value, which are rows of one product."""
        tokens, heads, width = sides
        weights = self.weights(features, 3 * heads * width, fan=features)
        projected = self.add("MatMul", name, weights)[0]
        parted = self.add("Reshape", projected, self.integers(0, tokens, 3, heads, width))[0]
        turned = self.add("Transpose", parted, perm=[2, 0, 3, 1, 4])[0]
        return [
            self.add("Gather", turned, self.constant(row, np.int64), axis=0)[0] for row in range(3)
        ]

    def product(self, name: str, tokens: int, features: int) -> list[Value]:
        others = [one for one in self.values if one[1] == tokens]
        other, _, width = self.pick(*others)
        turned = self.add("Transpose", name, perm=[0, 2, 1])[0]
        if features > 12:
            return []
        return [(self.add("MatMul", turned, other)[0], features, width)]

    def norm(self, name: str, tokens: int, features: int) -> list[Value]:
        scale = self.constant(self.rng.uniform(0.5, 1.5, features))
        shift = self.constant(self.rng.normal(0, 0.3, features))
        if self.opset >= 17 and self.pick(False, True):
            result = self.add("LayerNormalization", name, scale, shift, axis=-1, epsilon=1e-3)
            return [(result[0], tokens, features)]
        centred = self.add("Sub", name, self._mean(name))[0]
        squares = self.add("Mul", centred, centred)[0]
        deviation = self.add("Sqrt", self.add("Add", self._mean(squares), self.constant(1e-3))[0])
        result = self.add("Mul", self.add("Div", centred, deviation[0])[0], scale)
        return [(self.add("Add", result[0], shift)[0], tokens, features)]

    def _mean(self, name: str) -> str:
        if self.opset < 18:
            return self.add("ReduceMean", name, axes=[-1] if self.opset >= 11 else [2])[0]
        return self.add("ReduceMean", name, self.integers(-1))[0]

    def activation(self, name: str, tokens: int, features: int) -> list[Value]:
        kind = self.pick("Relu", "Gelu", "Sigmoid", "Tanh", "Elu", "Softmax", "Clip")
        if kind == "Gelu" and self.opset < 20:
            inner = self.add("Erf", self.add("Mul", name, self.constant(2**-0.5))[0])[0]
            outer = self.add("Mul", name, self.add("Add", inner, self.constant(1.0))[0])[0]
            result = self.add("Mul", outer, self.constant(0.5))
        elif kind == "Softmax":
            result = self.add("Softmax", name, axis=2)
        elif kind == "Clip" and self.opset >= 11:
            result = self.add("Clip", name, self.constant(-1.0), self.constant(1.0))
        elif kind == "Clip":
            result = self.add("Clip", name, min=-1.0, max=1.0)
        else:
            result = self.add(kind, name)
        return [(result[0], tokens, features)]

    def move(self, name: str, tokens: int, features: int) -> list[Value]:
        kind = self.pick("Transpose", "Gather", "Slice", "Identity")
        if kind == "Transpose" and features <= 12:
            return [(self.add("Transpose", name, perm=[0, 2, 1])[0], features, tokens)]
        if kind == "Gather":
            places = [0, tokens - 1, tokens // 2]
            return [(self.add("Gather", name, self.integers(*places), axis=1)[0], 3, features)]
        if kind == "Slice" and tokens > 2:
            if self.opset < 10:
                result = self.add("Slice", name, axes=[1], starts=[1], ends=[99])
            else:
                result = self.add("Slice", name, *(self.integers(one) for one in (1, 99, 1)))
            return [(result[0], tokens - 1, features)]
        return [(self.add("Identity", name)[0], tokens, features)]

    def sum(self, name: str, tokens: int, features: int) -> list[Value]:
        operator = self.pick("Add", "Mul", "Sub", "Max")
        others = [one for one in self.values if one[1] in (1, tokens) and one[2] == features]
        if self.pick(False, True):
            other = self.constant(self.rng.normal(0, 1, self.pick((features,), (1, tokens, 1))))
        else:
            other = self.pick(*others)[0]
        return [(self.add(operator, name, other)[0], tokens, features)]

    def concat(self, name: str, tokens: int, features: int) -> list[Value]:
        others = [one for one in self.values if one[1] == tokens]
        other = self.pick(*others)
        made = self.add("Concat", name, other[0], axis=2)[0]
        return [(made, tokens, features + other[2])]

    def split(self, name: str, tokens: int, features: int) -> list[Value]:
        if features % 2:
            return []
        half = features // 2
        if self.opset >= 18 and self.pick(False, True):
            parts = self.add("Split", name, outputs=2, axis=2, num_outputs=2)
        elif self.opset >= 13:
            parts = self.add("Split", name, self.integers(half, half), outputs=2, axis=2)
        else:
            parts = self.add("Split", name, outputs=2, axis=2, split=[half, half])
        return [(part, tokens, half) for part in parts]

    def reduce(self, name: str, tokens: int, features: int) -> list[Value]:
        small = self.reduced(name, [1], keep=True)
        if self.pick(False, True):
            return [(small, 1, features)]
        return [(self.add(self.pick("Add", "Mul"), name, small)[0], tokens, features)]

    def convolution(self, name: str, tokens: int, features: int) -> list[Value]:
        turned = self.add("Transpose", name, perm=[0, 2, 1])[0]
        weights = self.weights(8, features, 3)
        made = self.add("Conv", turned, weights, pads=[1, 1], kernel_shape=[3])[0]
        return [(self.add("Transpose", made, perm=[0, 2, 1])[0], tokens, 8)]

    def head(self, name: str, tokens: int, features: int) -> str:
        kind = self.pick("none", "pooled", "last", "flat")
        if kind == "none":
            return name
        if kind == "pooled":
            flat = self.reduced(name, [1], keep=False)
        elif kind == "last":
            flat = self.add("Gather", name, self.constant(-1, np.int64), axis=1)[0]
        else:
            flat, features = self.add("Flatten", name)[0], tokens * features
        bias = self.constant(self.rng.normal(0, 0.2, 5))
        return self.add("Gemm", flat, self.weights(5, features), bias, transB=1)[0]

    def model(self) -> onnx.ModelProto:
        for _ in range(self.draw(st.integers(1, 8))):
            self.step()
        names = [self.head(*self.values[-1])]
        if self.pick(False, False, True):
            names.append(self.pick(*self.values)[0])
        return self.written([TOKENS, FEATURES], names)


@st.composite
def sequence_graphs(draw: Any) -> onnx.ModelProto:
    return DrawnSequence(draw).model()
