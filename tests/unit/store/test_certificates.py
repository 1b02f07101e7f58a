"""Certificates that are kept, torn, newer, or of another machine."""

import logging

import msgspec
import pytest
from certificates import CERTIFICATE

from perfsuite.errors import ConfigError
from perfsuite.store.certificates import certificate_of, keep, path_of, require_writable


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("PERFSUITE_HOME", str(tmp_path / "home"))


def test_a_certificate_is_found_again_by_its_machine(caplog):
    assert certificate_of(CERTIFICATE.machine) is None
    path = keep(CERTIFICATE)
    assert path == path_of(CERTIFICATE.machine)
    assert certificate_of(CERTIFICATE.machine) == CERTIFICATE
    assert [one.name for one in path.parent.iterdir()] == [path.name]
    later = msgspec.structs.replace(CERTIFICATE, rounds=40)
    keep(later)
    assert certificate_of(CERTIFICATE.machine) == later
    assert not caplog.records


def test_another_machine_has_none():
    keep(CERTIFICATE)
    assert certificate_of(msgspec.structs.replace(CERTIFICATE.machine, usable_cores=64)) is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda raw: raw[:100], "cannot be read"),
        (lambda raw: b"\xff\xfe", "cannot be read"),
        (lambda raw: b"", "cannot be read"),
        (lambda raw: raw.replace(b'"schema": 1', b'"schema": 2'), "which is newer, wrote it"),
        (lambda raw: raw.replace(b'"usable_cores": 2', b'"usable_cores": 3'), "another machine"),
    ],
)
def test_what_cannot_be_used_is_ignored_and_told(change, said, caplog):
    path = keep(CERTIFICATE)
    raw = path.read_bytes()
    assert change(raw) != raw
    path.write_bytes(change(raw))
    with caplog.at_level(logging.WARNING):
        assert certificate_of(CERTIFICATE.machine) is None
    assert said in caplog.text and str(path) in caplog.text


def test_a_folder_that_cannot_be_written_is_told(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PERFSUITE_HOME", str(tmp_path / "file"))
    with pytest.raises(ConfigError, match="cannot be written"):
        keep(CERTIFICATE)
    with pytest.raises(ConfigError, match="cannot be written"):
        require_writable()
