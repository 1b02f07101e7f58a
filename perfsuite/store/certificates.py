"""The certificate of this machine, kept until another one is made."""

from __future__ import annotations

import logging
from pathlib import Path

import msgspec

from perfsuite.domain.certificate import CERTIFICATE_SCHEMA, Certificate
from perfsuite.domain.environment import MustMatch
from perfsuite.errors import ConfigError
from perfsuite.store.disk import writable, write_whole
from perfsuite.store.places import home, name_of_machine
from perfsuite.store.room import room_for

log = logging.getLogger(__name__)


class _Stamp(msgspec.Struct):
    """The part of a certificate that is read first, to see whether the rest can be."""

    schema: int
    perfsuite: str = "of an unknown version"


def path_of(machine: MustMatch) -> Path:
    """Return where the certificate of a machine is kept: one for each machine that differs."""
    return _folder() / f"{name_of_machine(machine)}.json"


def require_writable() -> None:
    """Raise `ConfigError` where no certificate could be kept, before time is spent on one."""
    writable(_folder())


def _folder() -> Path:
    return home() / "certificates"


def keep(certificate: Certificate) -> Path:
    """Write a certificate in place of the machine's earlier one; return where.

    Raises `ConfigError` where it cannot be written, and `PerfsuiteError` on a full disk.
    """
    require_writable()
    path = path_of(certificate.machine)
    try:
        with room_for(path):
            write_whole(path, msgspec.json.format(msgspec.json.encode(certificate)) + b"\n")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from error
    return path


def certificate_of(machine: MustMatch) -> Certificate | None:
    """Return the certificate of this machine; None without one.

    One that cannot be read, or is of a newer version or another machine, is ignored with a warning.
    """
    path = path_of(machine)
    try:
        raw = path.read_bytes()
        stamp = msgspec.json.decode(raw, type=_Stamp)
        if stamp.schema > CERTIFICATE_SCHEMA:
            log.warning(
                "%s is ignored: perfsuite %s, which is newer, wrote it; certify this machine anew "
                "(perfsuite certify)",
                path,
                stamp.perfsuite,
            )
            return None
        found = msgspec.json.decode(raw, type=Certificate)
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, msgspec.DecodeError) as error:
        log.warning(
            "%s is ignored, it cannot be read (%s); certify this machine anew (perfsuite certify)",
            path,
            error,
        )
        return None
    if found.machine != machine:
        log.warning("%s is ignored: it is of another machine", path)
        return None
    return found
