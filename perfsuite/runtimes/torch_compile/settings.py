"""How Inductor is set in this process, whether it builds or only takes things out of its cache."""

from __future__ import annotations

import logging
import os

from perfsuite.domain.device import PROCESSOR
from perfsuite.errors import Unavailable
from perfsuite.runtimes.shared.base import trimmed

# The code on the processor does not depend on the number of threads, which a cell may choose, and
# its kernels show in a trace: that costs some hundred nanoseconds for each, and nothing else tells
# which of them ran. The last is part of the keys of its cache, and costs nothing at run time.
OPTIONS = {
    "cpp.dynamic_threads": True,
    "cpp.enable_kernel_profile": True,
    "trace.provenance_tracking_level": 1,
}

_NO_COMPILER = (
    "torch-compile: torch.compile needs a C++ compiler, and there is none: apt-get install g++ (or "
    "let CXX name one)"
)
_NO_TRITON = (
    "torch-compile: on a card Inductor writes its kernels in Triton, which is missing or does not "
    "know this card (it needs sm_70 or newer): pip install triton, and a C compiler: apt-get "
    "install gcc"
)


def settle_compiler(device: str, *, builds: bool) -> None:
    """Let Inductor use all cores where it `builds`, and start no processes where it only loads.

    Its warnings are left out unless somebody has asked for its logs: breaks are in the evidence.
    """
    import torch._logging
    from torch._inductor import config

    if device == PROCESSOR:  # they compile for cards alone, and would outlive a forked job
        os.environ["TORCH_WARM_POOL"] = "0"
    config.compile_threads = None if builds else 1
    if not os.environ.get("TORCH_LOGS"):
        torch._logging.set_logs(all=logging.ERROR)  # type: ignore[attr-defined]
        logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)


def require_compiler(device: str) -> None:
    """Raise `Unavailable` without what Inductor compiles with: a C++ compiler, Triton on cards."""
    if device == PROCESSOR:
        from torch._inductor.cpp_builder import get_cpp_compiler

        try:
            get_cpp_compiler()
        except Exception as error:
            raise Unavailable(f"{_NO_COMPILER} ({trimmed(str(error))})") from error
        return
    from torch.utils._triton import has_triton

    if not has_triton():
        raise Unavailable(_NO_TRITON)
