"""Tables of layers: short ones whole, long ones with the odd layers first."""

from __future__ import annotations

from perfsuite.domain.diagnosis import Layer
from perfsuite.report.tables.kernels import WHOLE, lines


def layer(name: str, library: str = "oneDNN", kernel: str = "jit", how: str = "observed") -> Layer:
    return Layer(name, "Conv", kernel, library, "AVX-512", "fp32", how)  # type: ignore[arg-type]


def test_few_layers_stand_one_by_one_and_what_nobody_tells_is_a_question_mark() -> None:
    found = [layer("a"), Layer("b", "Gemm", "", "", "", "int8", "inferred")]
    assert lines(found) == [
        ("a", "Conv", "jit", "oneDNN", "AVX-512", "fp32", "observed"),
        ("b", "Gemm", "?", "?", "?", "int8", "inferred"),
    ]


def test_of_many_the_odd_ones_come_first_and_the_others_are_grouped() -> None:
    most = [layer(f"m{number}", kernel=f"k{number % 5}") for number in range(30)]
    some = [layer(f"s{number}", library="MKL") for number in range(10)]
    odd = [layer("odd", library="", kernel="ref")]
    found = lines([*most, *odd, *some])
    assert [one[0] for one in found] == ["odd", "30 layers", "10 layers"]
    assert found[0] == ("odd", "Conv", "ref", "?", "AVX-512", "fp32", "observed")
    assert found[1][2:4] == ("k0, k1, k2 and 2 more", "oneDNN")


def test_many_odd_ones_are_counted() -> None:
    odd = [layer(f"o{number}", library=f"l{number}") for number in range(20)]
    found = lines([layer(f"m{number}") for number in range(300)] + odd)
    names = [*(f"o{number}" for number in range(10)), "10 more of few", "300 layers"]
    assert [one[0] for one in found] == names
    assert found[10][3] == "l10, l11, l12 and 7 more"


def test_a_net_of_one_kind_has_no_odd_layers() -> None:
    found = lines([layer(f"m{number}") for number in range(WHOLE + 1)])
    assert [one[0] for one in found] == [f"{WHOLE + 1} layers"]
