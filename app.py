"""Portico's entry, and the one composition root: settings -> service -> frontends -> ASGI app. The command line is cli.py."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli import REPORT, VERSION, cli, listen, run_server
from core.errors import SettingsError
from core.progress import Progress
from core.settings import Settings
from startup import EXAMPLES, Portico, user_of

# Only what the command line needs is imported above: the port answers first, and everything else loads behind it.
if TYPE_CHECKING:
    from core.engine import Runner

__all__ = ["EXAMPLES", "VERSION", "cli", "create_app", "listen", "run_server", "user_of"]

log = logging.getLogger("portico")

PUBLIC_PATHS = ("/healthz", "/readyz", "/manifest.json", "/static/")  # beside those of sign-in


def create_app(
    settings: Settings,
    runner: Runner | None = None,
    print_line: Callable[[str], None] = print,
    on_fatal: Callable[[str], None] = log.error,
    changed: Callable[[Progress], None] = lambda progress: None,
) -> Any:
    """The whole ASGI app, guard outermost. `runner` replaces the model (tests play a script); `on_fatal` ends the process.

    `changed` is told of each change in the progress of the start.
    """
    from starlette.applications import Starlette
    from starlette.routing import Mount

    import core.store
    from api.routes import api_routes
    from auth.guests import sweep
    from auth.middleware import Guard
    from auth.routes import HALF, PUBLIC, auth_routes
    from doors import end_what_the_settings_no_longer_allow, open_doors
    from portal.compare import compare_routes
    from portal.compression import Compression
    from portal.pages import Tab, failed, not_allowed, not_found, portal_routes, render
    from portal.report import report_routes
    from shelf import Shelf

    data_lock = lock_data(settings.data)
    database, doors = open_doors(settings)
    end_what_the_settings_no_longer_allow(doors)
    store = core.store.Store(database)

    def keep_up() -> None:
        doors.sessions.refresh()
        doors.tokens.refresh()
        sweep(doors, forget)

    portico = Portico(settings, store, runner, on_fatal, changed, keep_up)

    def print_link() -> None:
        print_line(f"Sign in (once, within 15 minutes): {link_address(settings)}/auth/link#{doors.links.create()}")

    def forget(user_id: str) -> None:
        (portico.service or store).forget(user_id)  # before the service is up, nothing of anyone's runs

    def account_of(request: Any) -> Any:
        return request.scope["user"].account if request.scope["user"] else None

    def lacks_second_factor(request: Any) -> bool:
        account = account_of(request)
        return account is not None and account.role != "guest" and not doors.factors.enrolled(account.id)

    def header(request: Any) -> dict[str, Any]:
        offer = lacks_second_factor(request)
        return {"model": portico.model_name, "memory": shelf.short(), "user": account_of(request), "offer": offer}

    shelf = Shelf(lambda: portico.router)
    tabs = [Tab(slot.frontend.name, slot.frontend.title) for slot in portico.slots]
    inner = Starlette(
        routes=[
            *auth_routes(doors, render, print_link, store.export, forget, shelf),
            *api_routes(lambda: portico.service, user_of),
            *portal_routes(
                tabs, portico.progress, lambda: portico.model_name, account_of, lacks_second_factor, shelf.states, shelf.short
            ),
            *compare_routes(tabs, lambda: portico.service, user_of, header),
            *report_routes(REPORT),
            *(Mount(f"/{slot.frontend.name}", slot) for slot in portico.slots),
        ],
        exception_handlers={404: not_found, 405: not_allowed, Exception: failed},
        lifespan=portico.lifespan,
    )
    inner.state.portico, inner.state.auth = portico, doors
    inner.state.data_lock = data_lock  # held as long as the app is
    print_link()
    guard = Guard(
        Compression(inner), doors.sessions, doors.site, [*PUBLIC_PATHS, *PUBLIC], HALF, find_token=doors.tokens.find,
        peers=doors.peers,
    )  # fmt: skip
    doors.tokens.on_revoke.append(guard.close_session)
    return guard


def link_address(settings: Settings) -> str:
    """Where the terminal's link leads: this machine, from which alone it works."""
    return settings.url if settings.serves_loopback else f"http://127.0.0.1:{settings.port}"


def lock_data(folder: Path) -> Any:
    """The data folder, made if need be, for this process alone: a second one would end the runs of the first."""
    from filelock import FileLock, Timeout

    lock = FileLock(folder / "lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        raise SettingsError(
            f"Another Portico uses {folder}. Stop it, or give this one a folder of its own with --data."
        ) from None
    except OSError as error:
        raise SettingsError(f"--data {folder}: this folder cannot be used ({error.strerror}). Choose another.") from None
    return lock


if __name__ == "__main__":
    cli()
