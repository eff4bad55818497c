"""Fetching a remote image without reaching anything else: no address of this machine, of its network or of a cloud.

A host's name is resolved once; every address that it has must be global, and the connection goes to that very address,
so that a name that resolves to another one later (DNS rebinding) gains nothing. Each redirect is checked the same way.
Proxies from the environment are not used, and the time of all steps together is limited.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from urllib.parse import SplitResult, urljoin, urlsplit

from sphinx_x.serving.limits import RefusedError
from sphinx_x.serving.settings import Settings

PORTS = {"http": 80, "https": 443}
REDIRECTS = (301, 302, 303, 307, 308)
NAT64 = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("64:ff9b:1::/48"))
COMPATIBLE = ipaddress.ip_network("::/96")
"""IPv6 networks whose addresses stand for IPv4 ones, besides those that Python's `ipaddress` knows."""


def fetch(url: str, settings: Settings) -> bytes:
    """Fetch an image.

    Raises:
        RefusedError: The address is not allowed, or the image cannot be had within the limits.
    """
    deadline = time.monotonic() + settings.fetch_seconds
    for _ in range(settings.hops + 1):
        parts = check_url(url, settings)
        found = _get(parts, settings, deadline)
        if isinstance(found, bytes):
            return found
        following = urljoin(url, found)
        if parts.scheme == "https" and urlsplit(following).scheme != "https":
            raise _refused(parts.hostname, "redirects to an address without encryption")
        url = following
    raise _refused(None, f"redirects more than {settings.hops} times")


def check_url(url: str, settings: Settings) -> SplitResult:
    """Check an address against the list of allowed hosts, and return its parts.

    Raises:
        RefusedError: It is not allowed, or not an address.
    """
    if len(url) > 2000 or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise _refused(None, "the address is not plain, or too long")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _refused(None, "not an address") from None
    if parts.scheme not in PORTS or not parts.hostname:
        raise _refused(None, "only http and https addresses are fetched")
    if parts.username is not None or parts.password is not None:
        raise _refused(parts.hostname, "an address with a user's name is not fetched")
    name, usual = parts.hostname.rstrip("."), PORTS[parts.scheme]
    allowed = {host.lower().rstrip(".") for host in settings.media_hosts}
    wanted = f"[{name}]" if ":" in name else name
    if f"{wanted}:{port or usual}" not in allowed and not (port in (None, usual) and wanted in allowed):
        raise _refused(name, "not one of the hosts that this server may fetch images from")
    return parts


def resolve(host: str, port: int) -> str:
    """Return the address of a host, once all of its addresses are known to be global.

    Raises:
        RefusedError: One is not, or there is none.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    except (OSError, UnicodeError):
        raise _refused(host, "cannot be resolved") from None
    addresses = [str(entry[4][0]) for entry in found]
    if not addresses:
        raise _refused(host, "cannot be resolved")
    for address in addresses:
        if not is_global(address):
            raise _refused(host, "resolves to an address that is not global")
    return addresses[0]


def is_global(address: str) -> bool:
    """Return whether an address is one of the public internet, also where it stands for another one (IPv4 in IPv6)."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:  # with a zone, such as fe80::1%eth0
        return False
    if isinstance(found, ipaddress.IPv6Address):
        inner = [found.ipv4_mapped, found.sixtofour, *(found.teredo or ())]
        if any(found in network for network in (*NAT64, COMPATIBLE)):
            inner.append(ipaddress.IPv4Address(int(found) & 0xFFFFFFFF))
        if any(one is not None and not _plain_global(one) for one in inner):
            return False
        if found.ipv4_mapped is not None or found in NAT64[0]:
            return True
    return _plain_global(found)


def _plain_global(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    odd = address.is_multicast or address.is_reserved or address.is_unspecified or address.is_loopback
    return address.is_global and not odd and not address.is_private and not address.is_link_local


class _Pinned(http.client.HTTPConnection):
    """A connection to one address, whatever the host's name resolves to by now."""

    def __init__(self, parts: SplitResult, deadline: float) -> None:
        assert parts.hostname is not None
        self._parts, self._deadline = parts, deadline
        super().__init__(parts.hostname.rstrip("."), parts.port or PORTS[parts.scheme])

    def connect(self) -> None:
        address = resolve(self.host, self.port)
        left = max(0.01, self._deadline - time.monotonic())
        self.sock = socket.create_connection((address, self.port), timeout=left)
        if self._parts.scheme == "https":
            context = ssl.create_default_context()
            # known to the timer before it talks, as the handshake may drip as well
            self.sock = context.wrap_socket(self.sock, server_hostname=self.host, do_handshake_on_connect=False)
            self.sock.do_handshake()


@contextlib.contextmanager
def _ends_in_time(connection: _Pinned, deadline: float) -> Iterator[None]:
    """Cut a connection at its deadline: the time-out of a socket counts for each of its steps alone."""

    def cut() -> None:
        with contextlib.suppress(OSError, AttributeError):
            connection.sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(max(0.01, deadline - time.monotonic()), cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        connection.close()


def _get(parts: SplitResult, settings: Settings, deadline: float) -> bytes | str:
    """Return the content at an address, or where it redirects to."""
    connection = _Pinned(parts, deadline)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    host, most = parts.hostname, settings.image_bytes
    try:
        with _ends_in_time(connection, deadline):
            headers = {"Accept": "image/*, application/pdf", "Accept-Encoding": "identity", "User-Agent": "sphinx-x"}
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
            if response.status in REDIRECTS:
                return response.getheader("Location") or ""
            if response.status != 200:
                raise _refused(host, f"answers with status {response.status}")
            if response.getheader("Content-Encoding", "identity").lower() != "identity":
                raise _refused(host, "answers with compressed content")
            content = response.read(most + 1)
    except RefusedError:
        raise
    except (OSError, http.client.HTTPException, ValueError):
        what = "takes too long" if time.monotonic() >= deadline - 0.05 else "cannot be reached"
        raise _refused(host, what) from None
    if time.monotonic() >= deadline or (response.length and len(content) <= most):
        raise _refused(host, "takes too long, or ends early")
    if len(content) > most:
        raise _refused(host, f"has more than {most:,} bytes")
    return content


def _refused(host: str | None, what: str) -> RefusedError:
    where = f"{host}: " if host else ""
    return RefusedError(f"image_url: {where}{what}"[:300], param="image_url", code="image_not_fetched")
