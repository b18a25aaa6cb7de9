"""What the server of the review page answers, and whom."""

import http.client
import json
import socket
import threading

import pytest
from small_pages import small_page

from noiseproof.core.errors import InvalidArgument
from noiseproof.review.decision_log import DecisionLog
from noiseproof.review.review_page import read_page
from noiseproof.review.review_server import ReviewServer

ROW = {
    "example_id": "ant/0.png",
    "decision": "accept",
    "label": "bee",
    "who": "A",
    "when": "2026-11-30T17:00:00Z",
}


@pytest.fixture
def server(tmp_path):
    path, _ = small_page(tmp_path)
    data = read_page(path)
    with ReviewServer(path, data, DecisionLog(tmp_path, data.identity), who='<b>&Jürgen"') as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def ask(server, method="GET", path="", body=None, token=None, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=5)
    given = {"Host": f"127.0.0.1:{server.server_port}", "Origin": f"http://127.0.0.1:{server.server_port}"}
    given |= {"Content-Type": "application/json"}
    text = body if isinstance(body, str | None) else json.dumps(body)
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    given = {name: value for name, value in given.items() if value is not None}
    connection.request(method, f"/{token or server.token}/{path}", text, given)
    answer = connection.getresponse()
    content = answer.read().decode()
    connection.close()
    return answer.status, content


def test_a_decision_is_kept_and_read_back(server, tmp_path):
    assert ask(server, "POST", "decisions", ROW) == (200, "{}")
    assert json.loads(ask(server, path="decisions?since=0")[1]) == {"next": 1, "rows": [ROW]}
    assert json.loads(ask(server, path="decisions?since=1")[1]) == {"next": 1, "rows": []}
    assert len((tmp_path / "decisions.jsonl").read_text().splitlines()) == 1


def test_the_page_has_the_address_of_the_log_and_names_are_no_markup(server):
    status, page = ask(server)
    assert status == 200
    assert '<html lang="en" data-log="decisions" data-who="&lt;b&gt;&amp;Jürgen&quot;">' in page


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Host": "127.0.0.1"}, 421),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"token": "x" * 32}, 404),
        ({"path": "review.html/../label_issues.csv"}, 404),
        ({"path": "review/../decisions.jsonl"}, 404),
        ({"path": "review/part-00000.js%00"}, 404),
        ({"path": "detection.json"}, 404),
        ({"method": "POST", "path": "decisions", "body": ROW, "Origin": None}, 403),
        ({"method": "POST", "path": "decisions", "body": ROW, "Content_Type": "text/plain"}, 404),
        ({"method": "POST", "path": "", "body": ROW}, 404),
        ({"method": "DELETE", "path": "decisions"}, 501),
    ],
)
def test_others_are_refused(server, tmp_path, request_, status):
    assert ask(server, **request_)[0] == status
    assert not (tmp_path / "decisions.jsonl").exists()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("{", "no JSON"),
        ("[]", "has the texts"),
        (ROW | {"who": 1}, "has the texts"),
        (ROW | {"example_id": "ant/1.png"}, "no example"),
        (ROW | {"decision": "delete"}, "one of accept"),
        (ROW | {"label": ""}, "needs a label"),
        (ROW | {"label": "x" * 201}, "at most 200"),
        (ROW | {"when": "yesterday"}, "is a time"),
        ("x" * 70_000, "at most 65536"),
    ],
)
def test_what_is_no_decision_is_refused(server, tmp_path, body, reason):
    status, text = ask(server, "POST", "decisions", body)
    assert status in (400, 413)
    assert reason in text
    assert not (tmp_path / "decisions.jsonl").exists()


def test_many_at_once_are_all_kept(server, tmp_path):
    def send(k):
        ask(server, "POST", "decisions", ROW | {"who": f"person {k}"})

    threads = [threading.Thread(target=send, args=(k,)) for k in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    data = read_page(tmp_path / "review.html")
    assert len(DecisionLog(tmp_path, data.identity).since(0)[1]) == 20


def test_requests_wait_until_the_server_has_time(tmp_path):
    path, _ = small_page(tmp_path)
    data = read_page(path)
    with ReviewServer(path, data, DecisionLog(tmp_path, data.identity)) as busy:
        for _ in range(40):
            socket.create_connection(("127.0.0.1", busy.server_port), timeout=0.5).close()


def test_a_port_in_use_is_named(server):
    log = server.log
    for port in (server.server_port, 70_000):
        with pytest.raises(InvalidArgument, match=f"`port` is {port}.*free port"):
            ReviewServer(server.page, read_page(server.page), log, port=port)


def test_the_address_stays_after_a_restart_and_is_nobody_elses_to_read(server, tmp_path):
    """Open pages send what they could not send while the server was away."""
    data = read_page(server.page)
    with ReviewServer(server.page, data, DecisionLog(tmp_path, data.identity)) as again:
        assert again.token == server.token
    secret = server.page.parent / ".review-secret"
    assert secret.stat().st_mode & 0o777 == 0o600
    secret.write_text("short")
    with ReviewServer(server.page, data, DecisionLog(tmp_path, data.identity)) as other:
        assert other.token != server.token
        assert len(other.token) == 32
