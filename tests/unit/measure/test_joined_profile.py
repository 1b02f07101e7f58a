"""Several profiles become one."""

from __future__ import annotations

from perfsuite.domain.profile import Kernel, Profile
from perfsuite.measure.joined_profile import joined


def test_one_stays_as_it_is() -> None:
    one = Profile((0.5,), (Kernel("a", "Conv", (0.25,)),))
    assert joined([one]) is one


def test_all_calls_follow_each_other() -> None:
    one = Profile(
        (4.0, 5.0),
        (
            Kernel("a", "Conv", (1.0, 2.0), (0.0, 0.5), ("x",)),
            Kernel("a", "Conv", (0.5, 0.5), (2.0, 2.5)),
            Kernel("b", "Add", (1.0, 1.0)),
        ),
    )
    other = Profile(
        (6.0,),
        (
            Kernel("c", "Relu", (0.75,), (0.25,)),
            Kernel("a", "Conv", (3.0,), (1.0,), ("x",)),
        ),
    )
    assert joined([one, other]) == Profile(
        (4.0, 5.0, 6.0),
        (
            Kernel("a", "Conv", (1.0, 2.0, 3.0), (0.0, 0.5, 1.0), ("x",)),
            Kernel("a", "Conv", (0.5, 0.5, 0.0)),
            Kernel("b", "Add", (1.0, 1.0, 0.0)),
            Kernel("c", "Relu", (0.0, 0.0, 0.75)),
        ),
    )


def test_of_means_the_mean_remains() -> None:
    one = Profile((4.0,), (Kernel("a", "Conv", (1.0,), (0.0,)), Kernel("b", "Add", (1.0,))))
    other = Profile((6.0,), (Kernel("a", "Conv", (3.0,), (1.0,)),))
    assert joined([one, other]) == Profile(
        (5.0,), (Kernel("a", "Conv", (2.0,), (0.5,)), Kernel("b", "Add", (0.5,)))
    )
