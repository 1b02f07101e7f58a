"""What a user's file tells of the machine that it was exported on is not in what is built of it."""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx_net import save, weights

from perfsuite.domain.runtime import Manifest, Variant
from perfsuite.runtimes.onnxruntime.runtime import MODEL, OnnxRuntime

SOURCE = 'File "/home/somebody/net.py", line 3'


def test_a_built_graph_names_no_source(tmp_path: Path) -> None:
    file = tmp_path / "net.onnx"
    save(file, weights())
    model = onnx.load(file)
    model.doc_string = model.graph.doc_string = model.graph.input[0].doc_string = SOURCE
    model.metadata_props.add(key="classes", value="cat, dog")  # which who runs it may need
    for node in model.graph.node:
        node.doc_string = SOURCE
        node.metadata_props.add(key="pkg.torch.onnx.stack_trace", value=SOURCE)
    onnx.save(model, file)
    assert b"somebody" in file.read_bytes()
    manifest = Manifest("onnxruntime", "cpu", "fp32", 1, (), ("y",), lossy=False, quantized=False)
    OnnxRuntime().build(Variant(file, None, quantized=False), manifest, tmp_path)
    built = (tmp_path / MODEL).read_bytes()
    assert b"somebody" not in built and b"cat, dog" in built
