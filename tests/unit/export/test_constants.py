"""The values of a graph that are written in it, whatever they are written as."""

from __future__ import annotations

import numpy as np
import odd_graphs as odd
import onnx

from perfsuite.export.constants import constants_of


def test_initializers_and_all_kinds_of_constants() -> None:
    stored = onnx.numpy_helper.from_array(np.array([1, 2], np.int32))
    texts = onnx.numpy_helper.from_array(np.array(["a"], object))
    kinds = {
        "whole": {"value": stored}, "one": {"value_int": 3}, "some": {"value_ints": [4, 5]},
        "real": {"value_float": 0.5}, "reals": {"value_floats": [0.5, 1.5]},
        "text": {"value_string": "a"}, "texts": {"value": texts},
    }  # fmt: skip
    nodes = [odd.node("Constant", [], [name], name, **said) for name, said in kinds.items()]
    nodes.append(odd.node("Constant", [], ["theirs"], "theirs", domain="other", value_int=1))
    found = constants_of(odd.model(nodes, weights={"w": np.ones((2, 1), np.float16)}).graph)
    wanted = {
        "w": np.ones((2, 1), np.float16), "whole": np.array([1, 2], np.int32), "one": np.int64(3),
        "some": np.array([4, 5]), "real": np.float32(0.5), "reals": np.array([0.5, 1.5], "f"),
    }  # fmt: skip
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert found[name].dtype == value.dtype and found[name].shape == value.shape
        np.testing.assert_array_equal(found[name], value)
