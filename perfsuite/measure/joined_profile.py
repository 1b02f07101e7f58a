"""One profile from several of the same artifact, taken one after the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import fmean

import msgspec

from perfsuite.domain.profile import Kernel, Profile


def joined(profiles: Sequence[Profile]) -> Profile:
    """Return the profile of all calls of these.

    A kernel that one of them lacks took no time there. Of engines that report only means, which
    are over equally many calls, it has the means of these.
    """
    if len(profiles) == 1:
        return profiles[0]
    named = [_named(profile) for profile in profiles]
    known: dict[tuple[str, str, int], Kernel] = {}
    for kernels in named:
        known = {**kernels, **known}
    order = [key for kernels in named for key in kernels]
    pieces = list(zip(named, profiles, strict=True))
    found = Profile(
        tuple(wall_s for profile in profiles for wall_s in profile.walls_s),
        tuple(_kernel(known[key], key, pieces) for key in dict.fromkeys(order)),
    )
    return _averaged(found) if all(len(one.walls_s) == 1 for one in profiles) else found


def _named(profile: Profile) -> dict[tuple[str, str, int], Kernel]:
    """Return the kernels by name, kind, and which of those with both it is."""
    seen: Counter[tuple[str, str]] = Counter()
    found = {}
    for kernel in profile.kernels:
        name = (kernel.name, kernel.kind)
        found[*name, seen[name]] = kernel
        seen[name] += 1
    return found


def _kernel(
    kernel: Kernel,
    key: tuple[str, str, int],
    pieces: Sequence[tuple[dict[tuple[str, str, int], Kernel], Profile]],
) -> Kernel:
    times, starts = list[float](), list[float]()
    for kernels, profile in pieces:
        one = kernels.get(key)
        times += one.times_s if one else (0.0,) * len(profile.walls_s)
        starts += one.starts_s if one else ()
    known = len(starts) == len(times)
    return msgspec.structs.replace(
        kernel, times_s=tuple(times), starts_s=tuple(starts) if known else ()
    )


def _averaged(profile: Profile) -> Profile:
    kernels = (
        msgspec.structs.replace(
            one,
            times_s=(fmean(one.times_s),),
            starts_s=(fmean(one.starts_s),) if one.starts_s else (),
        )
        for one in profile.kernels
    )
    return Profile((fmean(profile.walls_s),), tuple(kernels))
