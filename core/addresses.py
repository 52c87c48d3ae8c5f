"""Addresses as people write them in settings: each function gives the clean form, or raises ValueError with what to write."""

from __future__ import annotations

import re
from ipaddress import IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

DEFAULT_PORTS = {"http": 80, "https": 443}
LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
DOMAIN = re.compile(rf"{LABEL}(\.{LABEL})+")
HOST_NAME = re.compile(rf"{LABEL}(\.{LABEL})*")
PRIVATE_NAMES = (".localhost", ".local", ".internal", ".lan", ".home.arpa", ".svc")
EMAIL = re.compile(r"[^@\s,]+@[^@\s,]+")


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches `host`."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def is_loopback_url(url: str) -> bool:
    return is_loopback(urlsplit(url).hostname or "")


def is_private_url(url: str) -> bool:
    """Whether `url` names this machine or one of a private network, by its address or by a name that only those have."""
    host = urlsplit(url).hostname or ""
    try:
        return not ip_address(host).is_global
    except ValueError:
        return "." not in host or host.endswith(PRIVATE_NAMES)


def clean_origin(given: str) -> str:
    """Scheme, host and port as a browser writes them in `Origin`: small letters, and no port that goes without saying."""
    wrong = ValueError("give scheme and host alone, such as https://demo.example.com")
    try:
        url = urlsplit(given.strip())
        port = url.port
    except ValueError:
        raise wrong from None
    if url.scheme not in DEFAULT_PORTS or url.path not in ("", "/") or url.query or url.fragment or "@" in url.netloc:
        raise wrong
    return join_origin(url.scheme, _clean_host(url.hostname or "", wrong), port)


def join_origin(scheme: str, host: str, port: int | None) -> str:
    """An origin of its parts."""
    written = f"[{host}]" if ":" in host else host.lower()
    return f"{scheme}://{written}" + ("" if port in (None, DEFAULT_PORTS[scheme]) else f":{port}")


def _clean_host(host: str, wrong: ValueError) -> str:
    if ":" in host:
        try:
            return str(IPv6Address(host))
        except ValueError:
            raise wrong from None
    if not host.isascii():  # browsers send the ASCII form, so that is what must be compared
        try:
            raise ValueError(f"write the host as browsers send it: {host.encode('idna').decode()}")
        except UnicodeError:
            raise wrong from None
    if not HOST_NAME.fullmatch(host):
        raise wrong
    return host


def clean_issuer(given: str) -> str:
    """A provider's issuer, to the letter: it is compared exactly (OpenID Connect Discovery 1.0, 4.3)."""
    issuer = given.strip()
    if (place := issuer.find("/.well-known/")) >= 0:
        raise ValueError(f"leave out what follows the issuer itself: {issuer[:place]}")
    url = urlsplit(issuer)
    if not url.hostname or url.query or url.fragment or "@" in url.netloc:
        raise ValueError("give the provider's address, which begins with https://")
    if url.scheme != "https" and not (url.scheme == "http" and is_loopback(url.hostname)):
        raise ValueError("give the provider's address, which begins with https://")
    return issuer


def clean_api(given: str) -> str:
    """Where a server's API begins, such as https://models.example.com/v1, without a slash at its end.

    What is refused is not repeated: it may hold a password.
    """
    wrong = ValueError("give local, or the URL of a server with OpenAI's API, such as http://127.0.0.1:8000/v1")
    text = given.strip()
    try:
        url = urlsplit(text)
        _ = url.port
    except ValueError:
        raise wrong from None
    if "@" in url.netloc:
        raise ValueError("give the URL without a name or key in it; the key stands in PORTICO_ENGINE_KEY")
    if "?" in text or "#" in text:
        raise ValueError("leave out what follows the path in the URL, from ? or # on; the key stands in PORTICO_ENGINE_KEY")
    if url.scheme not in DEFAULT_PORTS or not url.hostname or " " in text or not (text.isascii() and text.isprintable()):
        raise wrong
    return f"{url.scheme}://{url.netloc}{url.path.rstrip('/')}"


def clean_api_key(given: str, url: str) -> str:
    """The key for the API at `url`, which is clean; "" for none."""
    key = given.strip()
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ValueError("it holds characters that no key has; copy it once more")
    if key and url.startswith("http:") and not is_private_url(url):
        raise ValueError(
            f"it would travel to {url} unencrypted; give --engine an https address, since plain http with a key is for this "
            "machine and private networks"
        )
    return key


def clean_email(given: str) -> str:
    if not EMAIL.fullmatch(given):
        raise ValueError(f"{given!r} is no email address; write one like ada@example.com")
    return given.lower()


def clean_domain(given: str) -> str:
    """A domain, with or without the @ before it."""
    domain = given.lower().removeprefix("@")
    if not DOMAIN.fullmatch(domain):
        raise ValueError(f"{given!r} is no domain; write one like example.com")
    return domain


def clean_network(given: str) -> str:
    """An address, or a network of them."""
    try:
        network = ip_network(given, strict=False)
    except ValueError:
        raise ValueError(f"{given!r} is no address or network; write one like 10.0.0.0/8") from None
    if network.prefixlen == 0:
        raise ValueError(f"{given!r} is everybody, and who is trusted may say to be anyone; name your proxies alone")
    return given
