"""The multiply-accumulates (MACs) of ONNX's operators.

MACs are products of activations with weights or with each other; biases are not counted, as is
usual (Sze et al., "Efficient processing of deep neural networks", 2017, IV).
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import TYPE_CHECKING, Any

from perfsuite.export.shapes import Shapes

if TYPE_CHECKING:
    import onnx

Formula = Callable[["onnx.NodeProto", Shapes], int]


def operator_name(node: onnx.NodeProto) -> str:
    """Return the operator's name, with its domain if that is not ONNX's: `com.example::Mystery`."""
    standard = node.domain in ("", "ai.onnx")
    return str(node.op_type) if standard else f"{node.domain}::{node.op_type}"


# Formulas: from a node and the shapes of all tensors to MACs. They raise `KeyError` for a tensor
# whose shape is not known.


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """Return the values of a node's attributes, by name; texts are bytes."""
    from onnx import helper

    return {one.name: helper.get_attribute_value(one) for one in node.attribute}


def given(node: onnx.NodeProto, place: int) -> str:
    """Return the name of an input of a node; '' if it is left out."""
    return str(node.input[place]) if len(node.input) > place else ""


def convolution(weight: int) -> Formula:
    """Per output element one product with each weight of its filter: (M, C / groups, kernel)."""
    return lambda node, shapes: prod(shapes[node.output[0]]) * prod(shapes[node.input[weight]][1:])


def transposed(node: onnx.NodeProto, shapes: Shapes) -> int:
    """Per input element one product with each weight of its filter: (C, M / groups, kernel)."""
    return prod(shapes[node.input[0]]) * prod(shapes[node.input[1]][1:])


def matrices(node: onnx.NodeProto, shapes: Shapes) -> int:
    """Per output element a scalar product along the last axis of the first factor."""
    return prod(shapes[node.output[0]]) * shapes[node.input[0]][-1]


def gemm(node: onnx.NodeProto, shapes: Shapes) -> int:
    first = 0 if attributes(node).get("transA") else 1
    return prod(shapes[node.output[0]]) * shapes[node.input[0]][first]


def recurrent(node: onnx.NodeProto, shapes: Shapes) -> int:
    """Per step and sample one product with each weight: of the input, (directions, gates x H, I),
    and of the state before, (directions, gates x H, H). The first two axes are steps and samples.
    """
    weights = prod(shapes[node.input[1]]) + prod(shapes[node.input[2]])
    return prod(shapes[node.input[0]][:2]) * weights


def sampled(node: onnx.NodeProto, shapes: Shapes) -> int:
    """Per value one product with each neighbour in each direction: the grid weights them."""
    mode = attributes(node).get("mode", b"linear").decode()
    neighbours: int = {"nearest": 0, "cubic": 4, "bicubic": 4}.get(mode, 2)
    output = shapes[node.output[0]]
    products: int = neighbours ** (len(output) - 2)
    return prod(output) * products


def _attention(node: onnx.NodeProto, shapes: Shapes) -> int:
    """Per query one product with each element of each key, and one of each key with its value.

    Values are (batch, heads, length, size) or (batch, length, heads x size); keys of the past come
    before the new ones.
    """
    past = given(node, 4)
    keys = shapes[node.input[1]][-2] + (shapes[past][-2] if past else 0)
    return (prod(shapes[node.input[0]]) + prod(shapes[node.output[0]])) * keys


def _linear_attention(node: onnx.NodeProto, shapes: Shapes) -> int:
    """Per step, the state of a head is multiplied with a query, and changed by a key and a value.

    The state has as many elements as a key times those of a value; the delta rule multiplies it
    with the key too.
    """
    said = attributes(node)
    query, value = shapes[node.input[0]], shapes[node.input[2]]
    heads, shared = said["q_num_heads"], said["kv_num_heads"]
    state = (query[-1] // heads) * (value[-1] // shared)
    delta = b"delta" in said.get("update_rule", b"gated_delta")
    return int(prod(query[:-1]) * state * (heads + shared * (1 + delta)))


def _causal_convolution(node: onnx.NodeProto, shapes: Shapes) -> int:
    """Each channel has a filter of its own."""
    return prod(shapes[node.output[0]]) * shapes[node.input[1]][-1]


def _affine_grid(node: onnx.NodeProto, shapes: Shapes) -> int:
    """Each place is a product of its own coordinates and 1 with a matrix."""
    return prod(shapes[node.output[0]]) * shapes[node.input[0]][-1]


def _einsum(node: onnx.NodeProto, shapes: Shapes) -> int:
    """Return the products of two factors at a time, from left to right.

    There are as many as combinations of all their letters; where no letter is summed, the product
    is element by element and counts as none.
    """
    equation = attributes(node)["equation"].decode().replace(" ", "")
    terms, _, answer = equation.partition("->")
    sides: dict[str, int] = {}
    factors = []
    for term, name in zip(terms.split(","), node.input, strict=True):
        letters = _letters(term, len(shapes[name]))
        for letter, side in zip(letters, shapes[name], strict=True):
            sides[letter] = max(side, sides.get(letter, 1))
        factors.append(set(letters))
    all_letters = [letter for letter in sides if letter.startswith("...")]
    if "->" in equation:
        kept = {*answer.replace("...", "")} | (set(all_letters) if "..." in answer else set())
    else:
        kept = {x for x in sides if len(x) > 1 or terms.count(x) == 1}
    macs, left = 0, factors[0]
    for place, right in enumerate(factors[1:], start=2):
        needed = kept.union(*factors[place:])
        # What one factor alone has and nobody needs is summed before.
        left, right = left & (needed | right), right & (needed | left)
        if (left | right) - needed:
            macs += prod(sides[letter] for letter in left | right)
        left = (left | right) & needed
    return macs


def _letters(term: str, rank: int) -> list[str]:
    """Return the letters of one factor; the axes of `...` are counted from the last one."""
    before, dots, after = term.partition("...")
    hidden = rank - len(before) - len(after) if dots else 0
    return [*before, *(f"...{place}" for place in range(hidden, 0, -1)), *after]


MACS: dict[str, Formula] = {
    "AffineGrid": _affine_grid,
    "Attention": _attention,
    "CausalConvWithState": _causal_convolution,
    "Conv": convolution(weight=1),
    "ConvInteger": convolution(weight=1),
    "ConvTranspose": transposed,
    "DeformConv": convolution(weight=1),  # its sampling is free, as that of RoiAlign is
    "Einsum": _einsum,
    "GRU": recurrent,
    "Gemm": gemm,
    "GridSample": sampled,
    "LSTM": recurrent,
    "LinearAttention": _linear_attention,
    "MatMul": matrices,
    "MatMulInteger": matrices,
    "QLinearConv": convolution(weight=3),
    "QLinearMatMul": matrices,
    "RNN": recurrent,
}
# Operators that compute, by a rule that sizes alone do not tell: they are told to be uncounted.
TOLD = frozenset({"DFT", "Det", "STFT"})
RECURRENT = frozenset({"GRU", "LSTM", "RNN"})
# Operators that run the subgraphs that they have.
CONTROL = frozenset({"If", "Loop", "Scan", "SequenceMap"})

_FREE = """
arithmetic-by-element:
    Abs Acos Acosh Add And Asin Asinh Atan Atanh BitCast BitShift BitwiseAnd BitwiseNot BitwiseOr
    BitwiseXor Ceil Cos Cosh CumProd CumSum Div Equal Erf Exp Floor Greater GreaterOrEqual IsInf
    IsNaN Less LessOrEqual Log Max Mean Min Mod Mul Neg Not Or Pow Reciprocal Round Sign Sin Sinh
    Sqrt Sub Sum Tan Where Xor
activations:
    Celu Clip Elu Gelu HardSigmoid HardSwish Hardmax LeakyRelu LogSoftmax Mish PRelu Relu Selu
    Shrink Sigmoid Softmax Softplus Softsign SwiGLU Swish Tanh ThresholdedRelu
normalization-pooling-reduction:
    BatchNormalization GroupNormalization InstanceNormalization LRN LayerNormalization
    LpNormalization MeanVarianceNormalization RMSNormalization RotaryEmbedding
    SimplifiedLayerNormalization AveragePool GlobalAveragePool GlobalLpPool GlobalMaxPool LpPool
    MaxPool MaxRoiPool MaxUnpool NegativeLogLikelihoodLoss SoftmaxCrossEntropyLoss ArgMax ArgMin
    ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd
    ReduceSum ReduceSumSquare TopK
shapes-movement-constants:
    Bernoulli BlackmanWindow Cast CastLike CenterCropPad Col2Im Compress Concat Constant
    ConstantOfShape DepthToSpace Dropout Expand EyeLike Flatten Gather GatherElements GatherND
    HammingWindow HannWindow Identity ImageDecoder MelWeightMatrix Multinomial NonZero OneHot Pad
    Range RandomNormal RandomNormalLike RandomUniform RandomUniformLike Reshape Resize
    ReverseSequence Scatter ScatterElements ScatterND Shape Size Slice SpaceToDepth Split Squeeze
    TensorScatter Tile Transpose Trilu Unique Unsqueeze Upsample
quantization-and-boxes:
    DequantizeLinear DynamicQuantizeLinear QuantizeLinear NonMaxSuppression RoiAlign
sequences-texts:
    ConcatFromSequence Optional OptionalGetElement OptionalHasElement RegexFullMatch SequenceAt
    SequenceConstruct SequenceEmpty SequenceErase SequenceInsert SequenceLength SplitToSequence
    StringConcat StringNormalizer StringSplit TfIdfVectorizer
"""
NO_MACS = frozenset(word for word in _FREE.split() if not word.endswith(":"))
