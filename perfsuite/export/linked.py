"""External data that lie behind symbolic links, as in the caches of model hubs.

The onnx package and OpenVINO refuse them, since a model from elsewhere could name any file; the
links of a user's own folder are meant.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from perfsuite.errors import ConfigError
from perfsuite.export.normalize import messages

if TYPE_CHECKING:
    import onnx


def load_whole(path: Path) -> onnx.ModelProto:
    """Return the model in `path` with its external data, behind links too.

    Raises what `onnx.load` does, and `ConfigError` for data that are not in the model's folder.
    """
    import onnx

    model = onnx.load(path, format="protobuf", load_external_data=False)
    outside = _outside(model)
    if not any(_file(path, tensor).is_symlink() for tensor in outside):
        return onnx.load(path, format="protobuf") if outside else model
    for tensor in outside:
        _read(_file(path, tensor), tensor)
    return model


def is_linked(path: Path, model: onnx.ModelProto) -> bool:
    """Tell whether data of a model, which was loaded from `path` without them, lie behind links."""
    return any(_file(path, tensor).is_symlink() for tensor in _outside(model))


def _outside(model: onnx.ModelProto) -> list[onnx.TensorProto]:
    import onnx

    tensors = (one for one in messages(model) if isinstance(one, onnx.TensorProto))
    return [one for one in tensors if one.data_location == onnx.TensorProto.EXTERNAL]


def _file(path: Path, tensor: onnx.TensorProto) -> Path:
    from onnx.external_data_helper import ExternalDataInfo

    place = Path(ExternalDataInfo(tensor).location)
    if place.is_absolute() or ".." in place.parts:
        raise ConfigError(f"its weights lie in {place}, outside of the model's folder")
    return path.parent / place


def _read(file: Path, tensor: onnx.TensorProto) -> None:
    """Put the data of a tensor into it."""
    from onnx import TensorProto
    from onnx.external_data_helper import ExternalDataInfo

    info = ExternalDataInfo(tensor)
    with file.open("rb") as data:
        data.seek(info.offset or 0)
        tensor.raw_data = data.read(info.length or -1)
    del tensor.external_data[:]
    tensor.data_location = TensorProto.DEFAULT
