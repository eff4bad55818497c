"""HTTP that is ambiguous, sloppy or unusual: answered as the standard says, or refused by name."""

import contextlib
import gzip
import http.client
import json
import logging
import re
import socket
import time

import pytest
from starlette.routing import Mount, Route

from served import Served, body, message, slowed
from sphinx_x.serving.guards import host_name, is_loopback
from sphinx_x.serving.pages import FILES

TOKEN = "0123456789abcdef-token"
CHAT = "/v1/chat/completions"


@pytest.fixture(scope="module")
def served(tiny):
    with Served(tiny) as server:
        yield server


def address(served):
    host, port = served.url.removeprefix("http://").split(":")
    return host, int(port)


def answers(served, sent: bytes, method="GET"):
    """Send bytes as they are; return the response and its body."""
    with socket.create_connection(address(served), timeout=20) as raw:
        raw.sendall(sent)
        response = http.client.HTTPResponse(raw, method=method)
        response.begin()
        return response, response.read()


def status(served, target="/health", *headers, method="GET", content=b"", version="1.1", host="localhost"):
    named = () if host is None else (f"Host: {host}",)
    head = "\r\n".join([f"{method} {target} HTTP/{version}", *named, *headers, "", ""])
    return answers(served, head.encode("latin-1") + content, method)[0].status


def test_a_host_is_a_name_or_an_address():
    good = {
        "localhost": "localhost",
        "LocalHost:80": "localhost",
        "127.0.0.1:8000": "127.0.0.1",
        "[::1]": "::1",
        "[::1]:8000": "::1",
        "a-b_c.example:1": "a-b_c.example",
    }
    for host, name in good.items():
        assert (host_name(host) or "").strip("[]") == name
    bad = ["127.0.0.1:evil.example", "127.0.0.1:", "127.0.0.1:999999", "127.0.0.1:-1", "127.0.0.1:8000:8000"]
    bad += ["[[127.0.0.1]]", "[::1", "::1", "[::1]x", "[::1%25lo]", "a b", "a/b", "u@localhost", "localhost#", ""]
    bad += ["localhost,evil.example", "localhost\n", "٣", "127.0.0.1:٣", "." + "a" * 300]
    assert [host for host in bad if host_name(host) is not None] == []
    assert all(map(is_loopback, ("127.0.0.1", "127.9.9.9", "::1", "[::1]", "LOCALHOST")))
    assert not any(map(is_loopback, ("[127.0.0.1]", "[[::1]]", "]::1[", "0.0.0.0", "[::]", "127.0.0.1.", "x", "")))


@pytest.mark.parametrize(
    ("host", "wanted"),
    [
        ("127.0.0.1:evil.example", 403),
        ("[[127.0.0.1]]", 403),
        ("[127.0.0.1]", 403),
        ("localhost:x", 403),
        ("evil.example:8000", 403),
        ("evil.example:localhost", 403),
        ("localhost@evil.example", 403),
        ("0.0.0.0", 403),
        ("", 403),
        (None, 400),  # by the library: HTTP/1.1 has a host
        ("LOCALHOST:1", 200),
        ("[::1]:1", 200),
    ],
)
def test_sloppy_hosts_do_not_pass(served, host, wanted):
    assert status(served, host=host) == wanted


def test_origins_are_compared_as_a_whole(served):
    host = "{}:{}".format(*address(served))
    for origin, wanted in (
        (f"http://{host}", 200),
        (f"HTTPS://{host}", 200),
        (f"evil://{host}", 403),
        (f"http://evil.example://{host}", 403),
        (f"http://{host}.evil.example", 403),
        (f"http://{host}/", 403),
        (host, 403),
        ("", 403),
    ):
        assert status(served, "/health", f"Origin: {origin}", host=host) == wanted, origin


def test_a_target_may_be_a_whole_address(served):
    """RFC 9112: a server has to take them; they name the host that counts."""
    host = "{}:{}".format(*address(served))
    assert status(served, f"http://{host}/health", host=host) == 200
    assert status(served, f"HTTP://{host}/page/view?width=5&height=6", host=host) == 200
    assert status(served, f"http://{host}", host=host) == 200  # the page
    assert status(served, f"http://{host}?a", host=host) == 200
    assert status(served, f"http://{host}/v1/models/ti%6ey", host=host) == 200
    assert status(served, "http://localhost/health", host=None, version="1.0") == 200
    text = json.dumps(body(max_tokens=1)).encode()
    headers = ("Content-Type: application/json", f"Content-Length: {len(text)}")
    assert status(served, f"http://{host}{CHAT}", *headers, host=host, method="POST", content=text) == 200
    for target, wanted in (
        ("http://evil.example/health", 403),
        ("http://localhost/health", 400),  # another host than in the header
        (f"http://u@{host}/health", 400),
        ("http:///health", 403),
        (f"ftp://{host}/health", 400),
        (f"http://{host}#/health", 400),
        ("health", 400),
        ("*", 400),
        (f"http://{host}/http://{host}/health", 404),
    ):
        assert status(served, target, host=host) == wanted, target
    assert status(served, host, method="CONNECT", host=host) == 400


def test_a_token_is_wanted_on_every_route_there_is(tiny):
    """Enumerated from the application, so that a new route is here as well."""
    with Served(tiny, token=TOKEN) as served, served.http() as client:
        routes = served.server.config.app.routes
        assert all(type(route) in (Route, Mount) for route in routes)
        paths = {re.sub(r"\{.*?\}", "tiny", route.path) or "/" for route in routes}
        assert {CHAT, "/v1/models", "/v1/models/tiny", "/health", "/metrics", "/", "/page/pdf"} <= paths
        paths |= {f"/{file.name}" for file in FILES.iterdir()} | {
            "/nothing",
            "/openapi.json",
            "/docs",
            "/v1/../health",
            "//",
            "/%00",
        }
        given = [None, f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", "Basic eDp5", "Bearer \xe9", "Bearer"]
        for path in sorted(paths):
            for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "X"):
                for value in given if method in ("GET", "POST") else given[:1]:
                    headers = {} if value is None else {"Authorization": value.encode("latin-1")}
                    got = client.request(method, path, headers=headers)
                    assert (got.status_code, got.headers["cache-control"]) == (401, "no-store"), (method, path, value)
                    assert method == "HEAD" or got.json()["error"]["code"] == "invalid_api_key"
        # nor does what else is wrong with a request show before
        assert client.get("/health", headers={"Host": "x y", "Expect": "x"}).status_code == 401
        assert client.get("/health", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200


def test_there_is_no_description_of_the_api(served):
    with served.http() as client:
        for path in ("/openapi.json", "/docs", "/redoc", "/docs/oauth2-redirect"):
            got = client.get(path)
            assert (got.status_code, got.json()["error"]["code"]) == (404, "unknown_url"), path


def test_other_methods_are_told_which_are_answered(served):
    allowed = {CHAT: "POST", "/page/pdf": "POST", "/page/pdf/previews": "POST"}
    allowed |= dict.fromkeys(("/v1/models", "/v1/models/tiny", "/health", "/metrics", "/page/view"), "GET, HEAD")
    allowed |= dict.fromkeys(("/", "/index.html", "/app.js"), "GET, HEAD")
    with served.http() as client:
        for path, methods in allowed.items():
            for method in {"GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "QUERY"} - set(methods.split(", ")):
                got = client.request(method, path)
                assert (got.status_code, got.headers["allow"]) == (405, methods), (method, path)
                assert got.json()["error"]["message"]
            if "GET" in methods and path != "/page/view":
                assert client.head(path).status_code == 200
        for path in (
            "/v1/completions",
            "/v1/embeddings",
            "/nothing",
            "/v1/chat/completions/",
            "/%00",
            "/a/" + "x" * 5000,
        ):
            for method in ("GET", "POST", "DELETE"):
                got = client.request(method, path)
                assert (got.status_code, got.json()["error"]["code"]) == (404, "unknown_url"), (method, path)


@pytest.mark.parametrize(
    "path",
    (
        *("/../../etc/passwd", "/..%2f..%2fetc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/%5c..%5c..", "//etc/passwd"),
        *(
            "/%2fetc%2fpasswd",
            "/\\etc\\passwd",
            "/%ff",
            "/.",
            "//evil.example/..",
            "/page/../../guards.py",
            "/%0d%0aX:y",
        ),
    ),
)
def test_paths_lead_nowhere_but_to_the_page(served, path):
    response, content = answers(served, f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode("latin-1"))
    assert response.status in (200, 404) and "location" not in response.headers and response.getheader("X") is None
    assert b"root:" not in content and b"class Guard" not in content
    assert response.status == 404 or b"<!doctype html" in content.lower()


def test_bodies_are_json_in_utf_8_as_they_are(served):
    text = json.dumps(body(max_tokens=1)).encode()
    for kind in ("application/json", "Application/JSON; charset=UTF-8", 'application/json;charset="utf-8"'):
        assert served.post(None, content=text, headers={"Content-Type": kind}).status_code == 200
    for content, headers, says in (
        (gzip.compress(text), {"Content-Encoding": "gzip"}, "Content-Encoding: gzip"),
        (text, {"Content-Encoding": "gzip"}, "Content-Encoding: gzip"),
        (text, {"Content-Encoding": "identity, br"}, "Content-Encoding: identity, br"),
        (text.decode().encode("utf-16"), {"Content-Type": "application/json; charset=utf-16"}, "charset=utf-16"),
        (text, {"Content-Type": "application/json; charset=latin-1"}, "charset=latin-1"),
        (text, {"Content-Type": "application/json; version=2"}, "version=2"),
        (text, {"Content-Type": "application/jsonp"}, "Content-Type"),
        (text, {"Content-Type": "multipart/form-data; boundary=x"}, "Content-Type"),
    ):
        got = served.post(None, content=content, headers={"Content-Type": "application/json", **headers})
        assert got.status_code == 415 and says in got.json()["error"]["message"], got.text
    assert (
        served.post(None, content=text, headers={"Content-Encoding": "identity", "Content-Type": kind}).status_code
        == 200
    )
    with served.http() as client:
        got = client.post("/page/pdf?page=1", content=b"%PDF-", headers={"Content-Type": "application/pdf; charset=x"})
        assert got.status_code == 415


TWICE = ("Content-Type: application/json", "Content-Encoding: identity", "Origin: http://localhost", "Host: localhost")


@pytest.mark.parametrize("header", [*TWICE, "Expect: 100-continue", "Content-Type: text/plain", "Host: evil.example"])
def test_a_header_that_decides_comes_once(served, header):
    text = json.dumps(body(max_tokens=1)).encode()
    once = "Content-Type: application/json" if header.startswith("Content-Type") else header
    once = "Accept: */*" if header.startswith("Host") else once
    length = f"Content-Length: {len(text)}"
    got = status(served, CHAT, length, once, header, method="POST", content=text)
    assert got == 400


def test_where_a_request_ends_is_said_in_one_way(served):
    text = json.dumps(body(max_tokens=1)).encode()
    chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(text), text)
    kind, length, pieces = (
        "Content-Type: application/json",
        f"Content-Length: {len(text)}",
        "Transfer-Encoding: chunked",
    )
    for headers, content, wanted in (
        ((kind, length), text, 200),
        ((kind, pieces), chunked, 200),
        ((kind, length, pieces), chunked, 400),
        ((kind, pieces, length), chunked, 400),
        ((kind, length, length), text, 200),  # RFC 9110: the same twice is that
        ((kind, length, "Content-Length: 5"), text, 400),
        ((kind, "Content-Length: 5, 5"), text, 400),
        ((kind, "Content-Length: +5"), text, 400),
        ((kind, "Content-Length: -1"), text, 400),
        ((kind, "Content-Length: \xb2"), text, 400),
        ((kind, "Content-Length: 99999999999999999999"), text, 413),
        ((kind, "Transfer-Encoding: gzip, chunked"), chunked, 501),
        ((kind, "Transfer-Encoding: identity"), text, 501),
        ((kind, "Transfer-Encoding: \x0bchunked"), chunked, 400),
        ((kind, pieces, pieces), chunked, 501),
        ((kind, length, "Expect: 100-continue-or-so"), text, 417),
    ):
        got = status(served, CHAT, *headers, method="POST", content=content)
        assert got in ({wanted, 400} if wanted > 400 else {wanted}), (headers, got)
    assert status(served, CHAT, kind, pieces, method="POST", content=chunked, version="1.0") == 400
    assert status(served, CHAT, kind, length, method="POST", content=text, version="1.0") == 200


def test_keys_of_an_address_are_known_and_given_once(served):
    with served.http() as client:
        assert client.get("/page/view?width=5&height=6").status_code == 200
        for path, name in (
            ("/page/view?width=5&height=6&width=7", "width"),
            ("/page/view?width=5&height=6&depth=7", "depth"),
            ("/page/view?width=5&height=6&Width=5", "Width"),
            ("/page/pdf?page=1&page=2", "page"),
            ("/page/pdf/previews?first=1&last=2", "last"),
            (f"{CHAT}?max_tokens=5", "max_tokens"),
            ("/v1/models?limit=5", "limit"),
            ("/health?%ud800", "%ud800"),
            ("/metrics?name[]=a", "name[]"),
        ):
            method = "POST" if path.startswith((CHAT, "/page/pdf")) else "GET"
            got = client.request(method, path)
            assert got.status_code == 400 and got.json()["error"]["param"] == name, path


def test_noise_leaves_no_lines_in_the_log(served, caplog, capfd):
    """Anybody can send it without end; a fault of the server would be told."""
    caplog.set_level(logging.DEBUG)
    for noise in (
        b"\x16\x03\x01\x00\xa5" * 20,
        b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: 5\r\n\r\n{",
    ):
        with socket.create_connection(address(served), timeout=20) as raw:
            raw.sendall(noise)
            raw.shutdown(socket.SHUT_WR)
            with contextlib.suppress(OSError):
                raw.recv(1000)
    assert served.idle()
    assert [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING] == []
    assert capfd.readouterr() == ("", "")


def test_no_answer_lets_a_browser_keep_or_share_it(served):
    with served.http() as client:
        for path in ("/health", "/v1/models", "/nothing", "/metrics", "/page/model", "/"):
            got = client.get(path)
            assert got.headers["x-content-type-options"] == "nosniff" and "default-src 'none'" in str(got.headers)
            assert not any(name.startswith("access-control") for name in got.headers)
            assert got.headers["cache-control"] in ("no-store", "no-cache"), path


def test_errors_have_openai_s_form_whatever_they_quote(served):
    for keys in ({'"\n': 1}, {"\ufffe": 1}, {"k" * 1000: 1}, {"a.b": 1}):
        got = served.post({**body(), **keys})
        assert got.status_code == 400 and set(got.json()["error"]) == {"message", "type", "param", "code"}
    got = served.post(None, content=rb'{"\ud800": 1}', headers={"Content-Type": "application/json"})
    assert got.status_code == 400 and "surrogate" in got.json()["error"]["message"]
    assert served.post({**body(), "messages": message("a", "data:\x00")}).status_code == 400


@pytest.mark.parametrize(
    "drips", [b"", b"GET", b"GET / HTTP/1.1\r\nX: a", b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"]
)
def test_connections_that_wait_for_ever_are_closed(tiny, drips):
    """Silent, in the middle of a head, or between two requests: also where a byte comes now and then."""
    with Served(tiny, body_seconds=0.7) as served, socket.create_connection(address(served), timeout=20) as raw:
        raw.sendall(drips)
        began, answered = time.monotonic(), b""
        raw.settimeout(0.05)
        with contextlib.suppress(ConnectionError):
            while time.monotonic() < began + 15:
                with contextlib.suppress(TimeoutError):
                    answered += (piece := raw.recv(4000))
                    if not piece:
                        break
                if drips:
                    raw.sendall(b"x")
        assert 0.5 < time.monotonic() - began < 10
        assert answered.startswith(b"HTTP/1.1 200") == drips.endswith(b"\r\n\r\n") and answered.count(b"HTTP/1.1") < 2
        assert not served.server.server_state.connections


def test_an_answer_takes_longer_than_a_head_may(talker):
    with Served(talker, body_seconds=0.2) as served, slowed(served, 0.1):
        got = served.client().chat.completions.create(model="tiny", messages=message("Hi"), max_tokens=5, stream=True)
        assert sum(1 for _ in got) > 3
