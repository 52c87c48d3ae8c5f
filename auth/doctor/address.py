"""The address that people open: what the settings say of it, and what its answers show. Decided without asking."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from auth.doctor.asking import Answer
from auth.doctor.finding import Finding, note, ok, plain, warning, wrong
from auth.passkeys import Passkeys
from auth.site import Site, is_loopback

TOPIC = "Address"
HELP = "docs/sign-in.md shows how."
CERTIFICATE_SOON = timedelta(days=14)
GATEWAY = (502, 503, 504)  # a proxy's own answers when what it passes on to does not answer
WEBSOCKET = {
    "connection": "Upgrade",
    "upgrade": "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": "cG9ydGljbyBkb2N0b3IhIQ==",
}


@dataclass(frozen=True, slots=True)
class Listening:
    """Where the server listens, and where people open it."""

    site: Site
    host: str
    port: int
    trusted_proxies: Sequence[str] = ()

    @property
    def public_host(self) -> str:
        return urlsplit(self.site.public).hostname or ""

    @property
    def encrypted(self) -> bool:
        return self.site.public.startswith("https:")

    @property
    def behind_proxy(self) -> bool:
        """Portico itself speaks plain http: https, or another port than its own, is some proxy's."""
        return self.encrypted or (urlsplit(self.site.public).port or 80) != self.port

    @property
    def probe_host(self) -> str:
        """An address of this machine at which the server answers, if it runs."""
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 (compared, not bound)


def check_listening(at: Listening) -> Iterator[Finding]:
    """What can be told from the settings alone."""
    public, local = at.site.public, is_loopback(at.public_host)
    if local and not at.encrypted:
        yield ok(TOPIC, f"People open {public}, which only this machine reaches.")
    elif at.encrypted:
        yield ok(TOPIC, f"People open {public}, over https.")
    else:
        yield warning(
            TOPIC,
            f"Not encrypted: {public} is plain http, so whoever is on the same network can read along. "
            f"Put a proxy with a certificate before it, and give its https address with --public-url. {HELP}",
        )
    yield from _ports(at)
    if not is_loopback(at.host) and at.host not in ("0.0.0.0", "::"):  # noqa: S104 (compared, not bound)
        yield warning(
            TOPIC,
            f"The terminal's link opens on this machine's own address 127.0.0.1, and the server listens on {at.host} alone. "
            f"Use --host 0.0.0.0 with --public-url {public} if you want to sign in by the link.",
        )
    yield from _proxy(at)
    if not Passkeys.possible(public):
        names = f"http://localhost:{at.port}" if local else "an https address with a name"
        yield note(TOPIC, f"Browsers make no passkeys for {public}. They do for {names}.")


def _ports(at: Listening) -> Iterator[Finding]:
    port = urlsplit(at.site.public).port
    if at.encrypted and port == at.port:
        yield warning(
            TOPIC,
            f"{at.site.public} names the port that Portico listens on itself, and Portico speaks plain http there. "
            "Let a proxy serve https on another port, and name that one.",
        )
    elif not at.encrypted and port is None and at.port != 80:
        yield warning(
            TOPIC,
            f"{at.site.public} means port 80, and Portico listens on {at.port}. Unless a proxy passes 80 on to it, write "
            f"--public-url {at.site.public}:{at.port}.",
        )


def _proxy(at: Listening) -> Iterator[Finding]:
    if at.trusted_proxies:
        yield ok(TOPIC, f"Who asks is taken from X-Forwarded-For if {', '.join(at.trusted_proxies)} says it, from nobody else.")
    elif at.behind_proxy and not is_loopback(at.public_host):
        proxy = "127.0.0.1" if is_loopback(at.host) else "its address"
        yield warning(
            TOPIC,
            "No proxy is trusted, so the audit log and the lists of devices will show the proxy's address for everybody. "
            f'Set trusted_proxies = ["{proxy}"], and let the proxy set X-Forwarded-For. {HELP}',
        )


def check_health(at: Listening, answer: Answer, here: Answer, now: datetime) -> Iterator[Finding]:
    """What /healthz said at the public address, and `here`, straight on this machine. Ends with "ok" if it is this server."""
    public = at.site.public
    if not answer.status and not here.status:
        yield note(TOPIC, f"Portico does not run. Start it and run doctor again to see whether {public} leads to it.")
    elif answer.bad_certificate:
        yield wrong(TOPIC, f"{public}: {answer.problem}. Browsers refuse it too; get a certificate for this name.")
    elif not answer.status:
        yield warning(
            TOPIC,
            f"Portico runs, but from this machine {public} does not lead to it: {answer.problem}. "
            "Check the name, the proxy and the firewall; if your network cannot reach its own outside address, try elsewhere.",
        )
    elif problem := _not_us(at, answer):
        yield wrong(TOPIC, problem)
    else:
        if answer.certificate_ends and answer.certificate_ends - now < CERTIFICATE_SOON:
            yield warning(TOPIC, f"The certificate ends on {answer.certificate_ends:%Y-%m-%d}. See that it is renewed.")
        yield ok(TOPIC, f"{public} answers, and leads to Portico.")


def _not_us(at: Listening, answer: Answer) -> str:
    """Why what answered is not this server as it should be, or ""."""
    public = at.site.public
    if answer.status in GATEWAY:
        return f"{public} is answered by a proxy that cannot reach Portico. Let it pass on to http://{at.probe_host}:{at.port}."
    if answer.status == 400 and b"Portico does not serve this address" in answer.body:
        return f"The proxy passes on another Host than {at.site.host}. Let it keep the one that browsers send. {HELP}"
    if answer.status != 200 or (answer.object() or {}).get("status") != "ok":
        return f"Something else than Portico answers at {public} (status {answer.status}). Check --public-url and the proxy."
    if "content-security-policy" not in answer.headers:
        return f"The headers that protect Portico's pages are gone at {public}. Let the proxy pass them on unchanged."
    if at.encrypted and "strict-transport-security" not in answer.headers:
        return f"The proxy passes on another Host than {at.site.host}, as if asked on this machine. Let it keep the Host. {HELP}"
    return ""


def check_plain(at: Listening, answer: Answer) -> Finding:
    """What plain http says at the name of an https address."""
    location = answer.headers.get("location", "")
    if not answer.status:
        return ok(TOPIC, "Nothing answers over plain http, so nothing goes unencrypted.")
    if answer.status in (301, 302, 307, 308) and location.startswith("https://"):
        return ok(TOPIC, "Plain http leads on to https.")
    return warning(TOPIC, f"http://{at.public_host} answers without https. Let the proxy redirect it to {at.site.public}.")


def check_websocket(at: Listening, answer: Answer) -> Finding:
    """A handshake without a session: the guard refuses it with 403; a proxy that passes on no upgrade makes it a plain GET."""
    if answer.status == 403:
        return ok(TOPIC, "Websockets come through.")
    seen = f"status {answer.status}" if answer.status else answer.problem
    return wrong(
        TOPIC, f"Websockets do not come through ({seen}), and Streamlit needs them. Let the proxy pass on Upgrade. {HELP}"
    )


def check_cookies(at: Listening, answer: Answer) -> Finding:
    """The flags of a cookie of ours as a browser would see them, the way to a provider being where one is set first."""
    if not 300 <= answer.status < 400:
        return note(TOPIC, f"Sign-in could not begin (status {answer.status}), so no cookie was checked. See the provider below.")
    name, found = at.site.cookie(at.site.host, "oidc").name, SimpleCookie()
    for value in answer.headers.get_list("set-cookie"):
        try:
            found.load(value)
        except CookieError:
            continue
    if name not in found:
        return wrong(
            TOPIC,
            f"The cookie {name} does not arrive (status {answer.status}): nobody could sign in. Let the proxy keep it.",
        )
    cookie = found[name]
    wanted = {
        "HttpOnly": bool(cookie["httponly"]),
        "SameSite=Lax": cookie["samesite"].lower() == "lax",
        "Path=/": cookie["path"] == "/",
    }
    wanted["no Domain"] = not cookie["domain"]
    if at.encrypted:
        wanted["Secure"] = bool(cookie["secure"])
    if missing := [flag for flag, there in wanted.items() if not there]:
        return wrong(
            TOPIC, f"The cookie {plain(name)} arrives without {', '.join(missing)}. Let the proxy leave cookies unchanged."
        )
    return ok(TOPIC, f"Cookies arrive as they were sent: {', '.join(wanted)}.")
