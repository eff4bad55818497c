"""Images come from where they may come from: no request reads another file, or reaches this machine's network."""

import socket
import threading
import time
import tracemalloc
import zlib
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO

import PIL.Image
import pytest

from served import Served, body, data_url, message
from sphinx_x.errors import ImageError
from sphinx_x.serving import fetching
from sphinx_x.serving.fetching import fetch, is_global
from sphinx_x.serving.limits import RefusedError
from sphinx_x.serving.media import open_images, read_bytes
from sphinx_x.serving.settings import Settings

GLOBAL, OTHER = "93.184.216.34", "151.101.1.69"
"""Addresses that the faked network leads to the test's own server."""


def png(width=30, height=20):
    PIL.Image.new("RGB", (width, height), "red").save(out := BytesIO(), "PNG")
    return out.getvalue()


class Handler(BaseHTTPRequestHandler):
    """Answers as the path says."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.asked.append((self.headers["Host"], self.path))
        kind, _, rest = self.path[1:].partition("/")
        with suppress(OSError):
            getattr(self, f"send_{kind}")(rest)

    def answer(self, content, status=200, **headers):
        self.send_response(status)
        for name, value in {"Content_Length": str(len(content)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def send_image(self, rest):
        self.answer(png())

    def send_to(self, rest):
        self.answer(b"", 302, Location=rest)

    def send_loop(self, rest):
        self.answer(b"", 302, Location="/loop/")

    def send_status(self, rest):
        self.answer(b"", int(rest))

    def send_many(self, rest):
        self.answer(b"x" * int(rest))

    def send_endless(self, rest):
        self.send_response(200)
        self.end_headers()
        while True:
            self.wfile.write(b"x" * 65536)

    def send_short(self, rest):
        self.answer(png()[:50], Content_Length="500")
        self.close_connection = True

    def send_packed(self, rest):
        self.answer(png(), Content_Encoding="gzip")

    def send_drip(self, rest):
        while True:
            self.wfile.write(b"H")
            time.sleep(0.05)

    def log_message(self, *_):
        pass


class Net:
    """A faked network: names with the addresses that they have from one question to the next."""

    def __init__(self, monkeypatch, port):
        self.names, self.asked, self.dialled = {"good.example": [GLOBAL], "other.example": [OTHER]}, [], []
        resolve, connect = socket.getaddrinfo, socket.create_connection

        def getaddrinfo(host, asked_port, *args, **kwargs):
            if host not in self.names:
                return resolve(host, asked_port, *args, **kwargs)
            self.asked.append(host)
            answers = self.names[host]
            found = answers.pop(0) if isinstance(answers[0], list) else answers
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, asked_port)) for address in found]

        def create_connection(address, *args, **kwargs):
            if threading.current_thread() is not self.tests and address[0] == "127.0.0.1" and address[1] != port:
                raise AssertionError(f"dialled {address}")
            self.dialled.append(address)
            return connect(("127.0.0.1", port) if address[0] in (GLOBAL, OTHER) else address, *args, **kwargs)

        self.tests = threading.current_thread()
        monkeypatch.setattr(fetching.socket, "getaddrinfo", getaddrinfo)
        monkeypatch.setattr(fetching.socket, "create_connection", create_connection)


@pytest.fixture(scope="module")
def web():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads, server.asked = True, []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


@pytest.fixture
def net(monkeypatch, web):
    web.asked.clear()
    return Net(monkeypatch, web.server_address[1])


def allowing(*hosts, **settings):
    return Settings(media_hosts=hosts or ("good.example", "other.example"), fetch_seconds=5, **settings)


def refused(url, settings, says="image_url"):
    with pytest.raises(RefusedError, match=says) as caught:
        read_bytes(url, settings)
    assert caught.value.status in (400, 413) and "\n" not in str(caught.value)


def test_an_allowed_host_is_fetched_from_the_address_that_was_checked(net, web):
    assert fetch("http://good.example/image/a?b=c", allowing()) == png()
    assert net.dialled == [(GLOBAL, 80)] and net.asked == ["good.example"]
    assert web.asked == [("good.example", "/image/a?b=c")]
    assert fetch("http://good.example:8080/image/", allowing("good.example:8080")) == png()
    assert net.dialled[-1] == (GLOBAL, 8080)
    assert fetch("http://GOOD.example./image/", allowing()) == png()


ADDRESSES = """
127.0.0.1 127.1 2130706433 0177.0.0.1 0x7f.0.0.1 0x7f000001 017700000001 localhost 0.0.0.0 0 10.0.0.1
172.16.0.1 192.168.1.1 169.254.169.254 2852039166 100.64.0.1 100.100.100.200 192.0.2.1 198.18.0.1 224.0.0.1
240.0.0.1 255.255.255.255 [::1] [::] [::ffff:127.0.0.1] [::ffff:7f00:1] [::ffff:169.254.169.254] [::127.0.0.1]
[fe80::1] [fe80::1%25lo] [fc00::1] [fd00:ec2::254] [64:ff9b::7f00:1] [64:ff9b::a9fe:a9fe] [64:ff9b:1::7f00:1]
[2002:7f00:1::] [2002:a9fe:a9fe::1] [2001:0:7f00:1::] [ff02::1] [2001:db8::1] [100::1]
"""
LOCAL = ADDRESSES.split()


@pytest.mark.parametrize("host", LOCAL)
def test_no_address_of_the_machine_or_its_network_is_dialled(net, host):
    """However it is written, and though somebody put it on the list."""
    for scheme in ("http", "https"):
        refused(f"{scheme}://{host}/image/", allowing(host, host.lower()))
    assert net.dialled == []


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["169.254.169.254"], [GLOBAL, "10.0.0.1"], ["::1"], []])
def test_a_name_whose_addresses_are_not_all_global_is_not_dialled(net, addresses):
    net.names["good.example"] = [addresses]
    refused("http://good.example/image/", allowing())
    assert net.dialled == []


def test_a_name_that_resolves_to_another_address_later_gains_nothing(net, web):
    net.names["good.example"] = [[GLOBAL], ["127.0.0.1"], ["127.0.0.1"]]
    assert fetch("http://good.example/image/", allowing()) == png()
    assert net.asked == ["good.example"] and net.dialled == [(GLOBAL, 80)]
    # and is checked anew where it redirects to itself
    net.names["good.example"] = [[GLOBAL], ["127.0.0.1"]]
    refused("http://good.example/to/http://good.example/image/", allowing())
    assert net.dialled[1:] == [(GLOBAL, 80)]


def test_redirects_are_followed_only_to_what_is_allowed(net, web):
    assert fetch("http://good.example/to/http://other.example/image/", allowing()) == png()
    assert net.dialled == [(GLOBAL, 80), (OTHER, 80)]
    del net.dialled[:]
    local = ("127.0.0.1", f"127.0.0.1:{web.server_address[1]}", "localhost")
    for target in (
        "http://127.0.0.1/image/",
        f"http://127.0.0.1:{web.server_address[1]}/image/",
        "http://localhost/",
        "http://evil.example/image/",
        "//evil.example/image/",
        "http://other.example:8080/image/",
        "file:///etc/passwd",
        "ftp://good.example/",
        "data:image/png;base64,AAAA",
        "http://user@good.example/image/",
        "http://good.example\\@127.0.0.1/",
        "http://[::1]/",
    ):
        refused(f"http://good.example/to/{target}", allowing("good.example", "other.example", *local))
    assert {address for address, _ in net.dialled} == {GLOBAL}
    refused("http://good.example/loop/", allowing(), "3 times")
    assert len(net.dialled) == 11 + 4  # the address with a backslash is not even asked
    refused("http://good.example/to/http://good.example/image/", allowing(hops=0), "0 times")


@pytest.mark.parametrize(
    "url",
    [
        "http://evil.example/",
        "http://good.example.evil.example/",
        "http://evilgood.example/",
        "http://good.example:22/",
        "http://good.example@evil.example/",
        "http://good.example:x@127.0.0.1/",
        "http://user:word@good.example/image/",
        "http://good.example\\.evil.example/",
        "http://good.example /",
        "http://good.example\r\nX: y/",
        "http://good.example/image/\r\nHost: x",
        "http://ｇood.example/",
        "http://",
        "http:///image",
        "http://[::1",
        "http://good.example:99999/",
        "ftp://good.example/",
        "gopher://good.example/",
        "jar:http://good.example!/",
        "javascript:alert(1)",
        "",
        "/etc/passwd",
        "good.example/image/",
        "\x00",
    ],
)
def test_addresses_beside_the_list_are_refused(net, url):
    refused(url, allowing())
    assert net.dialled == []


def test_nothing_is_fetched_unless_the_server_was_told_so(net):
    refused("http://good.example/image/", Settings(), "data addresses")
    assert net.asked == net.dialled == []


def test_bytes_and_time_are_limited(net):
    settings = allowing(image_bytes=1000)
    assert fetch("http://good.example/many/1000", settings) == b"x" * 1000
    for path, says in (
        ("many/1001", "more than 1,000 bytes"),
        ("endless/", "more than 1,000 bytes"),
        ("short/", "ends early"),
        ("packed/", "compressed"),
        ("status/404", "404"),
        ("status/206", "206"),
    ):
        refused(f"http://good.example/{path}", settings, says)
    began = time.monotonic()
    refused("http://good.example/drip/", Settings(media_hosts=("good.example",), fetch_seconds=0.5), "too long")
    assert time.monotonic() - began < 3


def test_proxies_of_the_environment_are_not_used(net, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert fetch("http://good.example/image/", allowing()) == png()
    assert net.dialled == [(GLOBAL, 80)]


def test_global_addresses():
    assert all(map(is_global, (GLOBAL, OTHER, "2606:2800:21f:cb07::1", "::ffff:8.8.8.8", "64:ff9b::808:808")))
    for host in LOCAL:
        address = host.strip("[]").replace("%25", "%")
        if address[0].isdigit() and address.count(".") < 3 and ":" not in address:
            continue  # not a plain address: the resolver reads it
        assert not is_global(address), address


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "media" / "deep").mkdir(parents=True)
    (tmp_path / "media" / "a.png").write_bytes(png())
    (tmp_path / "media" / "deep" / "b c.png").write_bytes(png())
    (tmp_path / "secret.png").write_bytes(png(1, 1))
    (tmp_path / "media2").mkdir()
    (tmp_path / "media2" / "a.png").write_bytes(png(1, 1))
    (tmp_path / "media" / "link.png").symlink_to(tmp_path / "secret.png")
    (tmp_path / "media" / "up").symlink_to(tmp_path)
    (tmp_path / "media" / "round").symlink_to(tmp_path / "media" / "round")
    import os

    os.mkfifo(tmp_path / "media" / "pipe")
    return tmp_path


def test_files_are_read_from_allowed_folders_only(folder):
    settings = Settings(media_folders=(folder / "media",))
    for name in ("a.png", "deep/b%20c.png", "deep/../a.png"):
        assert read_bytes(f"file://{folder}/media/{name}", settings) == png()
    for url in (
        f"file://{folder}/secret.png",
        f"file://{folder}/media/../secret.png",
        f"file://{folder}/media/%2e%2e/secret.png",
        f"file://{folder}/media/..%2fsecret.png",
        f"file://{folder}/media2/a.png",
        f"file://{folder}/media/link.png",
        f"file://{folder}/media/up/secret.png",
        f"file://{folder}/media/round",
        f"file://{folder}/media/pipe",
        f"file://{folder}/media",
        f"file://{folder}/media/none.png",
        f"file://{folder}/media/a.png%00",
        f"file://elsewhere{folder}/media/a.png",
        "file:///etc/passwd",
        "file:///proc/self/environ",
        "file:///dev/zero",
        "file:etc/passwd",
        "file:media/a.png",
        "file://",
        "FILE:///etc/passwd",
        f"file://{folder}/media/{'x' * 5000}",
    ):
        refused(url, settings, "not in a folder that this server may read")
        refused(url.replace("media", "media"), Settings(), "not in a folder")
    refused(f"file://{folder}/media/a.png", Settings())
    with pytest.raises(RefusedError, match="more than 10 bytes"):
        read_bytes(f"file://{folder}/media/a.png", Settings(media_folders=(folder / "media",), image_bytes=10))


def bomb(width, height, kind="PNG"):
    """A small file of many pixels."""
    PIL.Image.new("1", (width, height)).save(out := BytesIO(), kind)
    return out.getvalue()


def test_decompression_bombs_are_refused_by_their_head(monkeypatch):
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", None)  # so that the test can make them
    contents = [bomb(9000, 9000), bomb(60_000, 900, "GIF"), bomb(9000, 9000, "TIFF")]
    broken = bytearray(png())
    broken[16:24] = b"\x7f\xff\xff\xff" * 2
    monkeypatch.undo()
    for content in (*contents, bytes(broken)):
        assert len(content) < 12_000_000
        began = time.monotonic()
        with pytest.raises((RefusedError, ImageError), match=r"pixels|head is broken"):
            open_images([content], [1], Settings())
        assert time.monotonic() - began < 1
    with pytest.raises(RefusedError, match=r"100 x 100 pixels"):
        open_images([png(100, 100)], [1], Settings(pixels=9999))
    assert open_images([png(100, 100)], [1], Settings(pixels=10_000))[0].size == (100, 100)
    with pytest.raises(RefusedError, match=r"100 x 100 pixels"):
        open_images([png(100, 100)] * 3, [1] * 3, Settings(all_pixels=29_999))


@pytest.mark.parametrize("kind", [b"zTXt", b"iCCP", b"IDAT"])
def test_a_small_picture_that_unpacks_to_much_is_refused(kind):
    """50 MB of a text, a colour profile or pixels too many, packed into 50 kB."""
    packed = zlib.compress(b" " * 50_000_000, 9)
    small, content = png(5, 5), packed if kind == b"IDAT" else b"a\0\0" + packed
    chunk = len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")
    tracemalloc.start()
    try:
        with pytest.raises((RefusedError, ImageError)):
            open_images([small[:33] + chunk + (small[-12:] if kind == b"IDAT" else small[33:])], [1], Settings())
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


def test_bombs_over_http_leave_the_server_as_it_was(tiny):
    """Huge base64 and many pixels in a small file are refused, and others are answered."""
    with Served(tiny, body_bytes=3_000_000, image_bytes=1_000_000) as served:
        for image, status in (
            ("data:image/png;base64," + "A" * 2_000_000, 413),
            ("data:image/png;base64," + "A" * 4_000_000, 413),
            ("data:image/png;base64," + "A" * 1_000_001, 400),
            (data_url(png(7100, 7100)), 413),
        ):
            got = served.post(body("Hi", image))
            assert got.status_code == status and got.json()["error"]["message"]
        assert served.idle() and served.post(body("Hi", data_url(png()), max_tokens=1)).status_code == 200


def test_pages_of_a_pdf(tmp_path):
    pages = [PIL.Image.new("RGB", (50 * k, 40), "white") for k in (1, 2)]
    pages[0].save(tmp_path / "a.pdf", save_all=True, append_images=pages[1:], resolution=150)
    content = (tmp_path / "a.pdf").read_bytes()
    assert [image.size for image in open_images([content] * 2, [1, 2], Settings())] == [
        (50, 41),
        (100, 41),
    ]  # rounded up
    with pytest.raises(ImageError, match="no page 3"):
        open_images([content], [3], Settings())
    with pytest.raises(RefusedError, match="pixels"):
        open_images([content], [2], Settings(pixels=3000))


def test_a_late_frame_of_a_large_picture_is_refused():
    """All frames before it would be drawn: minutes for some kilobytes."""
    frames = [PIL.Image.new("P", (3000, 2000), k) for k in range(3)]
    content = BytesIO()
    frames[0].save(content, "GIF", save_all=True, append_images=frames[1:])
    assert open_images([content.getvalue()], [3], Settings())[0].size == (3000, 2000)
    with pytest.raises(RefusedError, match="page 200: the frames up to it"):
        open_images([content.getvalue()], [200], Settings())


def test_data_addresses():
    settings = Settings(image_bytes=len(png()))
    assert read_bytes(data_url(png()), settings) == png()
    assert read_bytes(data_url(png()).replace("data:image/png", "DATA:image/PNG;name=a.png"), settings) == png()
    for url, says in (
        (data_url(png() + b"x"), "bytes"),
        (data_url(b"x" * 1_000_000), "bytes"),
        ("data:image/png;base64,@@@@", "base64"),
        ("data:image/png;base64,AAA", "base64"),
        ("data:image/png,abc", "data address is"),
        ("data:text/html;base64,AAAA", "data address is"),
        ("data:", "data address is"),
        ("data:image/png" + ";a=b" * 500 + ";base64,AAAA", "data address is"),
    ):
        refused(url, settings, says)


@contextmanager
def watched(monkeypatch):
    """Collect what the server opens and dials."""
    seen = []
    connect = socket.create_connection
    monkeypatch.setattr(socket, "create_connection", lambda *a, **k: (seen.append(a[0]), connect(*a, **k))[1])
    yield seen


def test_requests_reach_no_file_and_no_host(tiny, monkeypatch, web, tmp_path):
    """The same through the API, of a server that was told nothing: a 4xx, and not a byte."""
    (tmp_path / "secret.png").write_bytes(png())
    port = web.server_address[1]
    urls = [f"http://{host}:{port}/image/" for host in LOCAL[::4]] + [f"https://{host}/" for host in LOCAL[::8]]
    urls += [f"file://{tmp_path}/secret.png", "file:///etc/passwd", "../../etc/passwd", str(tmp_path / "secret.png")]
    urls += ["http://good.example/image/", "", "data:,", "about:blank", "\\\\host\\share\\a.png"]
    web.asked.clear()
    with Served(tiny) as served, served.http() as http, watched(monkeypatch) as dialled:
        http.get("/health")  # opens the client's own connection
        client_only = len(dialled)
        for url in urls:
            got = http.post("/v1/chat/completions", json=body("Hi", url))
            assert got.status_code == 400 and got.json()["error"]["param"] == "image_url", url
        assert len(dialled) == client_only and web.asked == []
        assert http.post("/v1/chat/completions", json=body("Hi", data_url(png()), max_tokens=1)).status_code == 200


def test_an_image_from_an_allowed_folder_is_answered(tiny, folder):
    with Served(tiny, media_folders=(folder / "media",)) as served:
        client = served.client()
        asked = [message("Hi", f"file://{folder}/media/a.png"), message("Hi", data_url(png()))]
        one, two = (client.chat.completions.create(model="tiny", messages=m, max_tokens=8) for m in asked)
        assert one.choices[0].message.content == two.choices[0].message.content
        assert one.sphinx_x["images"] == two.sphinx_x["images"]
