"""Weights that are not of the precision that was asked for."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
nn = torch.nn

from perfsuite.errors import Unsupported  # noqa: E402
from perfsuite.runner.build.weights import check_weights  # noqa: E402


@pytest.mark.parametrize(
    ("dtype", "words"),
    [
        (torch.float16, "its weights are float16, and fp32 was asked for; .* a precision that"),
        (torch.float64, r"its weights are float64, .*net.float\(\), and inputs\(\) float32$"),
    ],
)
def test_all_of_another_precision_are_refused(dtype: torch.dtype, words: str) -> None:
    with pytest.raises(Unsupported, match=words):
        check_weights(nn.Linear(2, 2, dtype=dtype), "net", "fp32")


def test_others_are_taken() -> None:
    check_weights(nn.Linear(2, 2), "net", "fp32")
    check_weights(nn.Linear(2, 2, dtype=torch.bfloat16), "net", "bf16")
    check_weights(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2).double()), "net", "fp32")
    check_weights(nn.Identity(), "net", "fp32")
