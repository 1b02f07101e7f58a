"""`perfsuite serve` as a process: where it listens, and how it ends."""

from __future__ import annotations

import signal
import socket
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from click.testing import CliRunner
from serving import serving
from stored_run import store_run

from perfsuite.cli import main


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    store_run(tmp_path / "reports" / "one")
    return tmp_path / "reports"


def test_it_answers_on_loopback_alone_and_ctrl_c_ends_it_quietly(reports: Path) -> None:
    with serving(reports) as (process, address, runs):
        assert runs == "1 run"
        answers(address)
        refuses(address, reports)
        process.send_signal(signal.SIGINT)
        said, complained = process.communicate(timeout=30)
        assert (process.returncode, said, complained) == (0, "", "")


def answers(address: str) -> None:
    """It gives the index and the run."""
    with urlopen(address) as answer:
        assert "1 pass; exit code 0" in answer.read().decode()
        assert "Server" not in answer.headers
    with urlopen(f"{address}run/one") as answer:
        assert "fp32/openvino/cpu/b1" in answer.read().decode()


def refuses(address: str, reports: Path) -> None:
    """It gives nothing to others, nothing else, and its port to nobody."""
    with pytest.raises(HTTPError, match="403"):
        urlopen(Request(address, headers={"Host": "evil.example"}))
    with pytest.raises(HTTPError, match="404"):
        urlopen(f"{address}run/%2e%2e/reports/one")
    port = int(address.rpartition(":")[2].strip("/"))
    # The rest of 127/8 is this machine's, too: who listens to all addresses answers there.
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", port), timeout=5)
    done = CliRunner().invoke(main, ["serve", str(reports), "--port", str(port)])
    assert done.exit_code == 2
    assert f"error: port {port} of 127.0.0.1 is taken" in done.output


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["serve", str(tmp_path / "nowhere"), "--port", "0"])
    assert done.exit_code == 2
    assert "there is no such folder" in done.output
