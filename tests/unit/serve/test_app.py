"""What `perfsuite serve` answers: the index and the runs, and nothing to anybody else."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest
from stored_run import store_run

from perfsuite.serve.app import Application


class Client:
    """Asks an application, whose answers are held against the protocol."""

    def __init__(self, folder: Path) -> None:
        self.application = validator(Application(folder))

    def ask(self, path: str, **environ: str) -> tuple[int, dict[str, str], str]:
        """Return the status, the headers and the page."""
        asked: dict[str, Any] = {"SCRIPT_NAME": "", "PATH_INFO": path, "QUERY_STRING": ""}
        asked |= {"HTTP_HOST": "localhost:8471", **environ}
        setup_testing_defaults(asked)
        answer: list[Any] = []
        body = self.application(asked, lambda status, headers: answer.extend((status, headers)))
        page = b"".join(body).decode()
        body.close()
        return int(answer[0][:3]), dict(answer[1]), page


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Client:
    folder = tmp_path_factory.mktemp("reports")
    store_run(folder / "one")
    store_run(folder / "search" / "1 & 2 ü")
    store_run(folder.parent / "secret")
    (folder / "notes.txt").write_text("not a run")
    (folder / "torn").mkdir()
    (folder / "torn" / "run.jsonl").write_text('{"schema": 1')
    (folder / "newer").mkdir()
    (folder / "newer" / "run.jsonl").write_text('{"schema": 999, "perfsuite": "9.0"}\n')
    return Client(folder)


def test_the_index_leads_to_every_run(client: Client) -> None:
    status, headers, page = client.ask("/")
    assert status == 200
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert 'href="/run/one"' in page
    assert 'href="/run/search/1%20%26%202%20%C3%BC"' in page
    assert "search/<wbr>1 &amp; 2 ü" in page
    assert "1 pass; exit code 0" in page
    assert "line 1, the header, is corrupt" in page
    assert "upgrade perfsuite" in page


@pytest.mark.parametrize("name", ["one", "search/1 & 2 ü"])
def test_a_run_has_the_page_of_the_report(client: Client, name: str) -> None:
    status, _, page = client.ask(f"/run/{name}".encode().decode("latin-1"))
    assert status == 200
    assert "fp32/openvino/cpu/b1" in page


@pytest.mark.parametrize("name", ["torn", "newer"])
def test_a_run_that_cannot_be_read_says_why(client: Client, name: str) -> None:
    status, _, page = client.ask(f"/run/{name}")
    assert status == 500
    assert "This run cannot be shown" in page
    assert f"{name}/run.jsonl" in page


@pytest.mark.parametrize(
    "path",
    [
        "/one",
        "/run",
        "/run/",
        "/run/two",
        "/run/../secret",
        "/run/one/../one",
        "/run/one/",
        "/run//one",
        "/run/./one",
        "/run/one/run.jsonl",
        "/run/notes.txt",
        "/run/..",
        "/run/one\x00",
        "/run/\\..\\secret",
        "/../secret",
        "//etc/passwd",
        "/run//etc/passwd",
        "/etc/passwd",
        "/favicon.ico",
        "/run/\xff\xfe",
    ],
)
def test_no_other_path_leads_anywhere(client: Client, path: str) -> None:
    status, _, page = client.ask(path)
    assert status == 404
    assert "There is no such run here." in page


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:80", "127.0.0.1", "127.0.0.1:8471", "[::1]:8471"]
)
def test_who_asks_for_this_machine_is_answered(client: Client, host: str) -> None:
    assert client.ask("/", HTTP_HOST=host)[0] == 200


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "evil.example:8471",
        "localhost.evil.example",
        "evil.localhost",
        "127.0.0.1.evil.example",
        "evil.example@127.0.0.1.evil.example",
        "192.168.0.1:8471",
        "0.0.0.0:8471",
        "[::1",
        "[localhost",
    ],
)
def test_who_asks_for_another_host_is_refused(client: Client, host: str) -> None:
    for path in ("/", "/run/one"):
        status, _, page = client.ask(path, HTTP_HOST=host)
        assert status == 403
        assert "small" not in page


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"])
def test_it_only_reads(client: Client, method: str) -> None:
    status, headers, _ = client.ask("/", REQUEST_METHOD=method)
    assert status == 405
    assert headers["Allow"] == "GET, HEAD"


def test_head_has_the_headers_alone(client: Client) -> None:
    status, headers, page = client.ask("/", REQUEST_METHOD="HEAD")
    assert (status, page) == (200, "")
    assert int(headers["Content-Length"]) == len(client.ask("/")[2].encode())


@pytest.mark.parametrize("path", ["/", "/run/one", "/nowhere"])
def test_pages_may_load_and_send_nothing_and_are_framed_by_nobody(
    client: Client, path: str
) -> None:
    _, headers, _ = client.ask(path)
    policy = headers["Content-Security-Policy"].split("; ")
    assert {"default-src 'none'", "frame-ancestors 'none'", "form-action 'none'"} <= set(policy)
    assert "http" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "Access-Control-Allow-Origin" not in headers


def test_an_empty_folder_says_how_runs_come_into_it(tmp_path: Path) -> None:
    status, _, page = Client(tmp_path).ask("/")
    assert status == 200
    assert "There are no runs in" in page
    assert f"perfsuite run suite.toml -o {tmp_path}/" in page


def test_a_folder_that_goes_away_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "reports"
    folder.mkdir()
    client = Client(folder)
    folder.rmdir()
    status, _, page = client.ask("/")
    assert status == 500
    assert "there is no such folder" in page
