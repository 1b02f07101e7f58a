"""The multiply-accumulates of operators that are not in ONNX's own set: of `com.microsoft`, mostly.

ONNX Runtime writes them where it fuses nodes, and quantizers where ONNX lacks an operator
(https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md).
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from perfsuite.export.binary_operator import DOMAIN, OPERATOR
from perfsuite.export.operators import (
    MACS,
    NO_MACS,
    Formula,
    attributes,
    convolution,
    gemm,
    given,
    matrices,
    operator_name,
    recurrent,
    sampled,
    transposed,
)
from perfsuite.export.shapes import Shapes

if TYPE_CHECKING:
    import onnx

WORD = 64  # binary products that count as one multiply-accumulate
_FREE = """
    BiasAdd BiasDropout BiasGelu BiasSoftmax BiasSplitGelu BifurcationDetector BitmaskBiasDropout
    BitmaskDropout BranchwiseRMSNorm ComplexMul ComplexMulConj ConvStateReplay CropAndResize
    DequantizeBFP DequantizeLinear DequantizeWithOrder EmbedLayerNormalization ExpandDims FastGelu
    GatedAdd GatedRMSNorm GatherBlockQuantized GatherND GatherPacked Gelu GemmaRotaryEmbedding
    GroupNorm IsAllFinite MRotaryEmbedding MaxpoolWithMask MulInteger MurmurHash3
    NGramHashMapping NGramRepeatBlock NhwcMaxPool Pad QEmbedLayerNormalization QLinearAdd
    QLinearAveragePool QLinearConcat QLinearGlobalAveragePool QLinearLeakyRelu QLinearMul
    QLinearReduceMean QLinearSigmoid QLinearSoftmax QLinearWhere QOrderedGelu
    QOrderedLayerNormalization QuantizeBFP QuantizeLinear QuantizeWithOrder QuickGelu
    RMSNormRotary Range ReduceSumInteger RelativePositionBias RemovePadding RestorePadding
    RotaryEmbedding SampleOp ScaledSiLU SkipGroupNorm SkipLayerNormalization
    SkipSimplifiedLayerNormalization SwiGLU Tokenizer Trilu UnfoldTensor Unique
    VarlenNGramHashMapping
"""
_FREE_LAYOUT = """
    AveragePool GlobalAveragePool GlobalMaxPool MaxPool ReorderInput ReorderOutput Upsample
"""
_FREE_CLASSIC = """
    ArrayFeatureExtractor Binarizer CastMap CategoryMapper DictVectorizer FeatureVectorizer Imputer
    LabelEncoder Normalizer OneHotEncoder Scaler TreeEnsemble TreeEnsembleClassifier
    TreeEnsembleRegressor ZipMap
"""
_FREE_CONTRIB = frozenset(
    f"{domain}::{name}"
    for domain, names in (
        ("com.microsoft", _FREE),
        ("com.microsoft.nchwc", _FREE_LAYOUT),
        ("ai.onnx.ml", _FREE_CLASSIC),
    )
    for name in names.split()
)


def is_free(node: onnx.NodeProto) -> bool:
    """Return whether it is known that a node multiplies and accumulates nothing."""
    name = operator_name(node)
    return name in NO_MACS or name in _FREE_CONTRIB


def formula_of(node: onnx.NodeProto) -> Formula | None:
    """Return the formula of a node's operator; None if it has none."""
    name = operator_name(node)
    return MACS.get(name) or _CONTRIB.get(name)


def node_macs(node: onnx.NodeProto, shapes: Shapes) -> int | None:
    """Return the MACs of one node; None if its operator has no formula or a shape is missing."""
    if is_free(node):
        return 0
    formula = formula_of(node)
    if formula is None:
        return None
    try:
        return formula(node, shapes)
    except (KeyError, IndexError, ValueError):  # a tensor without a shape, or with an odd one
        return None


def _fused_matrices(node: onnx.NodeProto, shapes: Shapes) -> int:
    """Return a product of matrices of which the first may be transposed."""
    said, first = attributes(node), shapes[node.input[0]]
    summed = first[-1]
    if said.get("transA") and len(first) > 1:
        # With transBatchA its axes are (rows summed over, batch, columns).
        summed = first[0] if said.get("transBatchA") else first[-2]
    return prod(shapes[node.output[0]]) * summed


def _blocks(node: onnx.NodeProto, shapes: Shapes) -> int:
    """Return a product with a matrix of K x N that is packed into blocks of a few bits."""
    said = attributes(node)
    return int(prod(shapes[node.input[0]][:-1]) * said["K"] * said["N"])


def _projected_attention(node: onnx.NodeProto, shapes: Shapes) -> int:
    """Return the projection to queries, keys and values, and attention (see `Attention`).

    A past of (2, batch, heads, length, size) holds the keys and values before the new ones.
    """
    source = shapes[node.input[0]]
    columns, answer = shapes[node.input[1]][-1], shapes[node.output[0]]
    sizes = attributes(node).get("qkv_hidden_sizes")
    queries = sizes[0] if sizes else columns // 3
    past = given(node, 8 if node.op_type == "QAttention" else 4)
    keys = source[1] + (shapes[past][-2] if past else 0)
    attended = (prod(source[:-1]) * queries + prod(answer)) * keys
    return int(prod(source) * columns + attended)


def _multi_head(node: onnx.NodeProto, shapes: Shapes) -> int:
    """Return attention of given queries, keys and values, which may be packed into one tensor."""
    query, answer = shapes[node.input[0]], shapes[node.output[0]]
    key, past = given(node, 1), given(node, 6)
    if not key:  # (batch, length, heads, 3, size)
        keys, queries = query[1], prod(query) // 3
    else:
        shape = shapes[key]  # (batch, heads, length, size), else the length comes second
        keys, queries = shape[2] if len(shape) == 4 else shape[1], prod(query)
    keys += shapes[past][-2] if past else 0
    return int((queries + prod(answer)) * keys)


def _grouped_attention(node: onnx.NodeProto, shapes: Shapes) -> int:
    """Return attention to all keys that are present, (batch, heads, length, size)."""
    return 2 * prod(shapes[node.output[0]]) * shapes[node.output[1]][-2]


def _linear_model(node: onnx.NodeProto, shapes: Shapes) -> int:
    """Per sample one product with each coefficient."""
    return prod(shapes[node.input[0]][:-1]) * len(attributes(node)["coefficients"])


def _binary(node: onnx.NodeProto, shapes: Shapes) -> int:
    """Return the products of signs, 64 of which count as one.

    An exclusive or and a population count of 64-bit words multiply and add so many (Rastegari et
    al. 2016, "XNOR-Net", arXiv:1603.05279, section 4.1).
    """
    said = attributes(node)
    products = prod(shapes[node.output[0]]) * said["channels"] * prod(said["kernel_shape"])
    return -(-int(products) // WORD)


_CONTRIB: dict[str, Formula] = {
    "ai.onnx.ml::LinearClassifier": _linear_model,
    "ai.onnx.ml::LinearRegressor": _linear_model,
    f"{DOMAIN}::{OPERATOR}": _binary,
    "com.microsoft::Attention": _projected_attention,
    "com.microsoft::CausalConvWithState": MACS["CausalConvWithState"],
    "com.microsoft::ConvTransposeWithDynamicPads": transposed,
    "com.microsoft::DynamicQuantizeLSTM": recurrent,
    "com.microsoft::DynamicQuantizeMatMul": matrices,
    "com.microsoft::FusedConv": convolution(weight=1),
    "com.microsoft::FusedGemm": gemm,
    "com.microsoft::FusedMatMul": _fused_matrices,
    "com.microsoft::FusedMatMulActivation": _fused_matrices,
    "com.microsoft::GemmFastGelu": matrices,
    "com.microsoft::GemmFloat8": gemm,
    "com.microsoft::GridSample": sampled,
    "com.microsoft::GroupQueryAttention": _grouped_attention,
    "com.microsoft::MatMulBnb4": _blocks,
    "com.microsoft::MatMulInteger16": matrices,
    "com.microsoft::MatMulIntegerToFloat": matrices,
    "com.microsoft::MatMulNBits": _blocks,
    "com.microsoft::MultiHeadAttention": _multi_head,
    "com.microsoft::NhwcConv": convolution(weight=1),
    "com.microsoft::NhwcFusedConv": convolution(weight=1),
    "com.microsoft::QAttention": _projected_attention,
    "com.microsoft::QGemm": gemm,
    "com.microsoft::QLinearConv": convolution(weight=3),
    "com.microsoft::QLinearMatMul": matrices,
    "com.microsoft::TransposeMatMul": _fused_matrices,
    "com.microsoft.nchwc::Conv": convolution(weight=1),
}
