"""Under which addresses this server is opened, and from which peer a request comes. Both from settings and the socket."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any
from urllib.parse import urlsplit

from starlette.responses import Response

ABSOLUTE_S = 30 * 24 * 3600
FORWARDED = (b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"x-real-ip")


@dataclass(frozen=True, slots=True)
class Cookie:
    """One of our cookies. They do not tell ports apart, so on plain http the name carries ours; under https it has `__Host-`."""

    name: str
    secure: bool = False

    def set(self, response: Response, token: str, max_age: int = ABSOLUTE_S) -> None:
        response.set_cookie(self.name, token, max_age=max_age, path="/", secure=self.secure, httponly=True, samesite="lax")

    def clear(self, response: Response) -> None:
        response.delete_cookie(self.name, path="/", secure=self.secure, httponly=True, samesite="lax")


@dataclass(frozen=True, slots=True)
class Site:
    """The origins that are ours. `public` is where people open it, such as "https://demo.example.com".

    Cookies: "" is the session's, "oidc" binds a sign-in at a provider to its browser, "browser" is a remembered browser's.
    """

    public: str
    port: int
    origins: frozenset[str]

    @staticmethod
    def of(public: str, port: int, names: Iterable[str] = ("127.0.0.1", "localhost", "[::1]")) -> Site:
        """A site that is opened at `public`, and on this machine by `names`, over plain http at `port`."""
        local = {f"http://{name}:{port}" for name in names} | ({f"http://{name}" for name in names} if port == 80 else set())
        return Site(public, port, frozenset(local | {public}))

    def origin(self, host: str) -> str | None:
        """The origin that a Host header means, or None if it is not ours."""
        return next((f"{scheme}://{host}" for scheme in ("https", "http") if f"{scheme}://{host}" in self.origins), None)

    def cookie(self, host: str, kind: str = "") -> Cookie:
        """The cookie of this kind at that Host."""
        secure = f"https://{host}" in self.origins
        base = "__Host-portico" if secure else f"portico-{self.port}"
        return Cookie(f"{base}-{kind}" if kind else base, secure)

    @property
    def host(self) -> str:
        """The Host header at the public address."""
        return urlsplit(self.public).netloc


class Peers:
    """Who is at the other end. A proxy that is trusted may say for whom it asks; nobody else may."""

    def __init__(self, trusted: Iterable[str] = ()) -> None:
        """`trusted` are addresses or networks, such as 10.0.0.0/8."""
        self._trusted: list[IPv4Network | IPv6Network] = [ip_network(one, strict=False) for one in trusted]

    def address(self, scope: Mapping[str, Any]) -> str:
        """The address of the browser: the socket's peer, or the nearest that trusted proxies name and do not own."""
        peer = _socket(scope)
        if not self._is_trusted(peer):
            return peer
        named = b",".join(value for name, value in scope["headers"] if name == b"x-forwarded-for").decode("latin-1")
        for hop in reversed([part.strip() for part in named.split(",") if part.strip()]):
            peer = hop if _is_address(hop) else ""
            if not self._is_trusted(hop):
                break
        return peer

    def describe(self, scope: Mapping[str, Any]) -> dict[str, Any]:
        """`peer`, the browser's address for the log, and `on_this_machine`, which the terminal's link asks for."""
        peer, socket = self.address(scope), _socket(scope)
        direct = not any(name in FORWARDED for name, _ in scope["headers"])
        # What a proxy on this machine forwards may come from anywhere, unless it is trusted to say from where.
        here = is_loopback(socket) and is_loopback(peer) and (direct or self._is_trusted(socket))
        return {"peer": peer, "on_this_machine": here}

    def _is_trusted(self, address: str) -> bool:
        return _is_address(address) and any(ip_address(address) in network for network in self._trusted)


def _socket(scope: Mapping[str, Any]) -> str:
    """The address at the other end of the socket; an IPv4 one as such, also where a socket of IPv6 took it."""
    address = str(scope["client"][0]) if scope.get("client") else ""
    return address.removeprefix("::ffff:") if "." in address else address


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches `host`, an address or a name."""
    return host == "localhost" or (_is_address(host) and ip_address(host).is_loopback)


def is_loopback_url(url: str) -> bool:
    return is_loopback(urlsplit(url).hostname or "")


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
