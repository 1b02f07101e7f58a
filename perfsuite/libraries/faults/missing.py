"""Engines that cannot be imported, because a shared object is missing or of another kind."""

from __future__ import annotations

import re
import traceback
from pathlib import Path

from perfsuite.domain.finding import Finding
from perfsuite.errors import raised_from

# The beginning of an object's name, and what brings it; the first that fits counts.
_PACKAGES = (
    ("libgomp.", "apt install libgomp1"),
    ("libomp.", "apt install libomp5"),
    ("libiomp5.", "pip install intel-openmp"),
    ("libmkl_", "pip install mkl"),
    ("libtbb.", "pip install tbb, or apt install libtbb12"),
    ("libopenblas", "apt install libopenblas0"),
    ("libblas.", "apt install libopenblas0"),
    ("liblapack.", "apt install liblapack3"),
    ("libgfortran.", "apt install libgfortran5"),
    ("libdnnl.", "apt install libdnnl3"),
    ("libnuma.", "apt install libnuma1"),
    ("libGL.", "apt install libgl1 (or take opencv-python-headless)"),
    ("libglib-2.0.", "apt install libglib2.0-0"),
    ("libOpenCL.", "apt install ocl-icd-libopencl1"),
    ("libstdc++.", "apt install libstdc++6"),
    ("libgcc_s.", "apt install libgcc-s1"),
    ("libz.", "apt install zlib1g"),
    ("libffi.", "apt install libffi8"),
    ("libcuda.", "NVIDIA's driver (`nvidia-smi` must work; in a container: --gpus all)"),
    ("libnvidia-ml.", "NVIDIA's driver (`nvidia-smi` must work; in a container: --gpus all)"),
    ("libcudnn", "pip install nvidia-cudnn-cu13 (-cu12 for CUDA 12)"),
    ("libcublas", "pip install nvidia-cublas (with -cu12 at the end for CUDA 12)"),
    ("libcudart.", "pip install nvidia-cuda-runtime (with -cu12 at the end for CUDA 12)"),
    ("libcupti.", "pip install nvidia-cuda-cupti (with -cu12 at the end for CUDA 12)"),
    ("libcufft", "pip install nvidia-cufft (with -cu12 at the end for CUDA 12)"),
    ("libcurand.", "pip install nvidia-curand (with -cu12 at the end for CUDA 12)"),
    ("libcusolver", "pip install nvidia-cusolver (with -cu12 at the end for CUDA 12)"),
    ("libcusparse", "pip install nvidia-cusparse (with -cu12 at the end for CUDA 12)"),
    ("libnvrtc", "pip install nvidia-cuda-nvrtc (with -cu12 at the end for CUDA 12)"),
    ("libnccl.", "pip install nvidia-nccl-cu13 (-cu12 for CUDA 12)"),
    ("libnvinfer", "pip install tensorrt"),
    ("libtensorrt_rtx", "pip install --force-reinstall tensorrt-rtx-cu13"),
    ("libopenvino", "pip install --force-reinstall openvino"),
    ("libonnxruntime", "pip install --force-reinstall onnxruntime"),
    ("libtorch", "pip install --force-reinstall torch"),
    ("libc10", "pip install --force-reinstall torch"),
)
# A name may begin with its folder; that of a Python module has more than one point in it.
_OBJECT = r"([^\s:'\"]+\.so[\w.]*)"
_MISSING = re.compile(rf"{_OBJECT}: cannot open shared object file: No such file")
_UNREADABLE = re.compile(rf"{_OBJECT}: cannot open shared object file: (.+)")
# What ld.so says of a file that it cannot load (glibc, elf/dl-load.c), and musl's loader.
_WRONG = re.compile(
    rf"{_OBJECT}: (wrong ELF class|invalid ELF header|file too short|cannot read file data"
    r"|ELF file [^;\n]*|only ET_DYN and ET_EXEC can be loaded|ELF load command [^;\n]*"
    r"|object file has no (?:loadable segments|dynamic section)|nonzero padding in e_ident"
    r"|internal error|Exec format error)"
)
_OLD = re.compile(r"version [`']((?:GLIBCXX|GLIBC|CXXABI)_[\w.]+)' not found")
_SYMBOL = re.compile(r"([\w.+-]+\.so[\w.]*): undefined symbol: (\w+)")


def missing_in(error: BaseException, engine: str) -> Finding | None:
    """Return the finding that an object is missing, from an error or what it was raised from.

    It is about the package that was being imported, `engine` where that does not show.
    """
    for raised in raised_from(error, or_handling=True):
        whose = _imported(raised) or engine
        if isinstance(raised, ImportError | OSError) and (told := explained(str(raised), whose)):
            message = f"{whose} cannot be loaded: {told[0]}"
            return Finding("missing-library", whose, message, told[1], "observed")
    return None


def _imported(error: BaseException) -> str:
    """Return the package whose code tried to load the object; '' if that is perfsuite's."""
    names = [
        str(frame.f_globals.get("__name__", "")).partition(".")[0]
        for frame, _ in traceback.walk_tb(error.__traceback__)
    ]
    others = [name for name in names if name not in ("importlib", "_frozen_importlib", "ctypes")]
    return others[-1] if others and others[-1] not in ("perfsuite", "__main__") else ""


def explained(said: str, whose: str) -> tuple[str, str] | None:
    """Return what is missing and how to get it, from an error of an import of package `whose`.

    None where the error is of another kind.
    """
    if (found := _MISSING.search(said)) and not Path(found[1]).is_file():
        name = Path(found[1]).name
        return f"the shared object {name} is missing, or not for this processor", _package(
            name, whose
        )
    if found or (found := _WRONG.search(said)):  # of another processor's it says that it is missing
        name = Path(found[1]).name
        why = f" ({found[2]})" if found.re is _WRONG else ""
        what = f"the shared object {name} is damaged or of another architecture{why}"
        return what, f"install it again for this processor: {_package(name, whose)}"
    if found := _UNREADABLE.search(said):
        name = Path(found[1]).name
        return (
            f"the shared object {name} cannot be opened: {found[2]}",
            f"let this user read it (chmod a+r), or install it again: {_package(name, whose)}",
        )
    if found := _OLD.search(said):
        fix = "take a newer system or image, or: conda install -c conda-forge libstdcxx-ng"
        return f"the system's libraries are too old, {found[1]} is missing", fix
    if found := _SYMBOL.search(said):
        return (
            f"{found[1]} does not fit the libraries that are loaded (undefined symbol {found[2]})",
            "two packages bring it in different versions: reinstall the engine in a fresh virtual "
            "environment, and look that LD_LIBRARY_PATH and LD_PRELOAD name no other",
        )
    return None


def _package(name: str, whose: str) -> str:
    if re.search(r"\.(cpython-|abi3)", name) or name.startswith("libscipy_openblas"):
        return f"pip install --force-reinstall {whose}"  # a part of the package itself
    for beginning, package in _PACKAGES:
        if name.startswith(beginning):
            return package
    return f"find its package by `apt-file search {name}`, or reinstall the engine"
