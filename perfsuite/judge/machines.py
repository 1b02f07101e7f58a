"""Whether two runs were made on machines whose times may be compared."""

from __future__ import annotations

import msgspec

from perfsuite.domain.environment import Environment


def differences(now: Environment, before: Environment) -> list[str]:
    """Return in words each field that must match and does not; none means comparable."""
    return [
        _difference(name, ours, theirs)
        for name in now.must_match.__struct_fields__
        if (ours := getattr(now.must_match, name)) != (theirs := getattr(before.must_match, name))
    ]


def version_changes(now: Environment, before: Environment) -> list[str]:
    """Return `name before -> now` for each version that differs: told, never refused."""
    return [
        f"{name} {before.subject.get(name, 'none')} -> {now.subject.get(name, 'none')}"
        for name in sorted({*now.subject, *before.subject})
        if now.subject.get(name) != before.subject.get(name)
    ]


def _difference(name: str, ours: object, theirs: object) -> str:
    label = name.replace("_", " ")
    if isinstance(ours, tuple) and isinstance(theirs, tuple):
        only_one = sorted(set(ours) ^ set(theirs))
        more = f" and {len(only_one) - 3} more" if len(only_one) > 3 else ""
        return f"{label} (only one has {', '.join(only_one[:3])}{more})"
    if isinstance(ours, dict) and isinstance(theirs, dict):
        unequal = [key for key in sorted({*ours, *theirs}) if ours.get(key) != theirs.get(key)]
        return f"{label} (of {', '.join(unequal)})"
    return f"{label} ({_plain(ours)} here, {_plain(theirs)} in the baseline)"


def _plain(value: object) -> str:
    return repr(value) if isinstance(value, str) else msgspec.json.encode(value).decode()
