"""What tells devices apart, and what of it keys follow from."""

from __future__ import annotations

import msgspec
import pytest

from perfsuite.domain.device import DeviceIdentity, told_apart

CARD = DeviceIdentity("cuda", "NVIDIA One", ("sm_90",), {"power limit": "700 W", "memory": "80 GB"})


def test_the_key_of_a_processor_is_its_features_alone() -> None:
    assert DeviceIdentity("cpu", "any", ("avx2", "fma")).key == "avx2 fma"


@pytest.mark.parametrize(
    "other",
    [
        msgspec.structs.replace(CARD, name="NVIDIA Two"),
        msgspec.structs.replace(CARD, features=("sm_80",)),
        msgspec.structs.replace(CARD, must_match={"power limit": "300 W", "memory": "80 GB"}),
        msgspec.structs.replace(CARD, kind="rocm"),
    ],
)
def test_every_field_of_a_card_is_part_of_its_key(other: DeviceIdentity) -> None:
    assert other.key != CARD.key
    ours, theirs = told_apart(CARD, other)
    assert ours != theirs


def test_the_order_of_what_must_match_does_not_count() -> None:
    turned = dict(reversed(CARD.must_match.items()))
    assert msgspec.structs.replace(CARD, must_match=turned).key == CARD.key


def test_it_survives_json() -> None:
    assert msgspec.json.decode(msgspec.json.encode(CARD), type=DeviceIdentity) == CARD


def test_names_tell_devices_apart_and_where_they_do_not_what_differs() -> None:
    two = DeviceIdentity("cuda", "NVIDIA Two", ("sm_90",))
    assert told_apart(CARD, two) == ("NVIDIA One", "NVIDIA Two")
    one, other = (DeviceIdentity("cuda", features=(name,)) for name in ("sm_80", "sm_90"))
    assert told_apart(one, other) == (
        "an unnamed cuda device with features sm_80",
        "an unnamed cuda device with features sm_90",
    )


def test_all_that_differs_is_told() -> None:
    one = DeviceIdentity("cuda", features=("sm_80",), must_match={"power": "1"})
    other = DeviceIdentity("cuda", features=("sm_90",), must_match={"power": "2"})
    assert told_apart(one, other) == (
        "an unnamed cuda device with features sm_80, power 1",
        "an unnamed cuda device with features sm_90, power 2",
    )


def test_what_is_not_known_of_one_of_two_is_told_too() -> None:
    bare = DeviceIdentity("cuda", "a card")
    known = DeviceIdentity("cuda", "a card", ("sm_90", "tma"), {"power": "1", "memory": "2"})
    assert told_apart(bare, known) == (
        "a card with features none, no more",
        "a card with features sm_90, tma, memory 2, power 1",
    )
    other = DeviceIdentity("rocm", "a card")
    assert told_apart(bare, other) == ("a card with kind cuda", "a card with kind rocm")
