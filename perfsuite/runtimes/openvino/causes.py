"""Which operations OpenVINO did not convert, without those that failed because of others."""

from __future__ import annotations

import re

# What is said of an operation whose input was made by one that was not converted.
_FOLLOWS = re.compile(r"has to be known \(static\)|data type must be static")
_OPERATION = re.compile(
    r"^-- \S+ with a message:\n.*?(?=^-- \S+ with a message:|^Summary:)", re.M | re.S
)


def with_causes(text: str) -> str:
    """Return a message of OpenVINO's frontend without operations that failed for want of others.

    It is the same where it is not known which others these are.
    """
    said = _OPERATION.findall(text)
    if all(map(_FOLLOWS.search, said)):
        return text
    return _OPERATION.sub(lambda found: "" if _FOLLOWS.search(found[0]) else found[0], text)
