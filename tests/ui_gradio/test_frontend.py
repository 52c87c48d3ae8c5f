"""The mounted page: what it serves, where its addresses point, what is closed, and what its events do."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from core import brand
from core.service import InferenceService
from core.types import User
from tests.ui_gradio.conftest import EXAMPLES, Site, served

ADA = User("ada", "Somebody")


def config_of(page: str) -> dict[str, Any]:
    found = re.search(r"window\.gradio_config = (\{.*?\});</script>", page, re.S)
    assert found
    return json.loads(found[1])


async def ask(site: Site, config: dict[str, Any], event: str, data: list[Any], user: str = "ada", query: str = "") -> None:
    """Start the event named `event`, as a browser would."""
    asked = next(each for each in config["dependencies"] if each["api_name"] == event)
    data = [*data, *[None] * (len(asked["inputs"]) - len(data))]  # the components for choices that there are none of yet
    body = {"data": data, "fn_index": asked["id"], "session_hash": f"hash-{user}", "event_data": None, "trigger_id": None}
    async with site.browser(user, f"s-{user}") as browser:
        (await browser.post(f"/gradio_api/queue/join{query}", json=body)).raise_for_status()


async def told(site: Site, user: str = "ada") -> list[Any]:
    """What the events that were started give, message by message, until all have ended."""
    async with site.browser(user, f"s-{user}") as browser:
        stream = await browser.get("/gradio_api/queue/data", params={"session_hash": f"hash-{user}"})
    lines = [json.loads(line[6:]) for line in stream.text.splitlines() if line.startswith("data: ")]
    return [line["output"] for line in lines if line["msg"] in ("process_generating", "process_completed")]


async def read(site: Site, config: dict[str, Any], event: str, data: list[Any], query: str = "") -> list[Any]:
    await ask(site, config, event, data, query=query)
    return await told(site)


def test_importing_the_package_does_not_import_gradio() -> None:
    """The port must answer within a second; gradio takes five."""
    code = "import sys, ui_gradio; sys.exit('gradio' in sys.modules or 'fastapi' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


async def test_the_first_page_names_portico_and_nobody_else(service: InferenceService) -> None:
    async with served(service) as site, site.browser() as browser:
        page = await browser.get("/")
        assert page.status_code == 200
        config = config_of(page.text)
        assert config["title"] == brand.NAME
        assert "fonts.googleapis" not in (await browser.get("/theme.css")).text
        theme = (await browser.get("/theme.css")).text
        assert brand.LIGHT.accent in theme
        assert brand.DARK.accent in theme
        assert f"/static/{brand.FONT_FILE}" in config["head"]


async def test_what_phones_home_or_shows_more_than_the_page_is_off(service: InferenceService) -> None:
    async with served(service) as site, site.browser() as browser:
        config = config_of((await browser.get("/")).text)
        assert config["analytics_enabled"] is False
        assert config["show_error"] is False
        assert config["footer_links"] == []
        assert not config.get("pwa")
        assert config["max_file_size"] == 1_000_000 or config["max_file_size"] == 1024**2
        assert {each["api_visibility"] for each in config["dependencies"]} == {"private"}
        assert all(not each["js"] for each in config["dependencies"])  # it would be evaluated, which the CSP forbids


async def test_gradio_knows_that_it_is_served(service: InferenceService) -> None:
    """Without this it skips its own check of which server files a client may name."""
    async with served(service) as site:
        inner = site.mounted.app.app.routes[-1].app  # type: ignore[attr-defined]
        assert inner.get_blocks().has_launched is True


@pytest.mark.parametrize("header", ["x-forwarded-host", "x-gradio-server", "forwarded"])
async def test_a_forwarded_host_steers_nothing(service: InferenceService, header: str) -> None:
    async with served(service) as site, site.browser(**{header: "evil.test", "x-forwarded-proto": "https"}) as browser:
        page = (await browser.get("/")).text
        assert "evil.test" not in page
        assert config_of(page)["root"] == "http://portico.test/gradio"


async def test_no_other_origin_is_let_in(service: InferenceService) -> None:
    async with served(service) as site, site.browser(origin="https://evil.test") as browser:
        assert "access-control-allow-origin" not in (await browser.get("/")).headers


async def test_a_server_path_named_by_a_client_is_not_read(service: InferenceService) -> None:
    """In place of the message, and of the text of every field."""
    async with served(service) as site, site.browser() as browser:
        config = config_of((await browser.get("/")).text)
        named = {"path": "/etc/hostname", "meta": {"_type": "gradio.FileData"}}
        given = await read(site, config, "send", [named, named, 0.7, 5, 1, 0, 0, 1, "", named])
        assert Path("/etc/hostname").read_text().strip() not in json.dumps(given)  # noqa: ASYNC240


async def test_a_person_without_a_link_comes_back_to_the_running_answer(service: InferenceService) -> None:
    async with served(service) as site, site.browser() as browser:
        config = config_of((await browser.get("/")).text)
        run = service.start(ADA, "chat", {"message": "slow one"})
        drawn = json.dumps((await read(site, config, "load", []))[-1])
        assert run.conversation_id in drawn
        assert "answering" in drawn
        assert "skeleton" in drawn


async def test_a_foreign_conversation_is_a_sentence_above_an_empty_page(service: InferenceService) -> None:
    run = service.start(User("bo", "Bo"), "chat", {"message": "secret"})
    async with served(service) as site, site.browser() as browser:
        config = config_of((await browser.get("/")).text)
        for conversation in (run.conversation_id, "nonsense", "%00"):
            drawn = json.dumps((await read(site, config, "load", [], query=f"?c={conversation}"))[-1])
            assert "does not exist" in drawn.replace("&#44;", ",")
            assert "secret" not in drawn
            assert "new empty" in drawn


async def test_sending_starts_a_run_and_following_shows_it_to_its_end(service: InferenceService) -> None:
    async with served(service) as site, site.browser() as browser:
        config = config_of((await browser.get("/")).text)
        assert EXAMPLES[0] in json.dumps(config)
        sent = (await read(site, config, "send", ["hello", "", 0.7, 500, 1, 0, 0, 1, "", ""]))[-1]
        assert "answering sent" in json.dumps(sent)
        followed = await read(site, config, "follow", [])
        assert len(followed) > 2
        assert "w39" in json.dumps(followed[-1])
        assert "finished shown" in json.dumps(followed[-1])


async def test_a_refused_message_is_a_sentence(service: InferenceService) -> None:
    async with served(service) as site, site.browser() as browser:
        config = config_of((await browser.get("/")).text)
        given = json.dumps((await read(site, config, "send", ["hi", "", 0.7, 10**9, 1, 0, 0, 1, "", ""]))[-1])
        assert "must be between" in given
        assert " sent " not in given


async def test_too_many_stop_strings_are_a_sentence(service: InferenceService) -> None:
    async with served(service) as site, site.browser() as browser:
        config = config_of((await browser.get("/")).text)
        given = json.dumps((await read(site, config, "send", ["hi", "", 0.7, 9, 1, 0, 0, 1, "", "a\nb\nc\nd\ne"]))[-1])
        assert "Stop strings&#58; there are 5" in given
        assert " sent " not in given


async def test_a_conversation_from_before_a_setting_was_there_opens_with_its_default(service: InferenceService) -> None:
    """And not with what the conversation that was shown before had there."""
    from ui_gradio.panel import SPARE

    run = service.start(ADA, "chat", {"message": "hello"})
    live = service._runs._find_live(run.id)
    assert live is not None
    del live._run.values["stop"], live._run.values["min_p"]  # type: ignore[attr-defined]
    async with served(service) as site, site.browser() as browser:
        config = config_of((await browser.get("/")).text)
        drawn = (await read(site, config, "open", [run.conversation_id]))[-1]["data"]
        *_, min_p, _, _, stop = drawn[:-SPARE]
        assert (min_p, stop) == (0.0, "")


async def test_following_ends_when_the_page_turns_away(service: InferenceService) -> None:
    async with served(service) as site, site.browser() as browser:
        config = config_of((await browser.get("/")).text)
        run = service.start(ADA, "chat", {"message": "slow one"})  # once the page is there: on a busy machine that takes seconds
        await read(site, config, "load", [])
        await ask(site, config, "follow", [])
        following = asyncio.create_task(told(site))
        await asyncio.sleep(0.3)  # it waits for the first token, which takes two seconds
        await ask(site, config, "start_anew", [])
        given = await asyncio.wait_for(following, 1.5)
        assert "new empty" in json.dumps(given)
        assert service.conversation(ADA, run.conversation_id).live_run  # and the run goes on


async def test_a_page_stands_still_for_nobody_however_many_are_open(service: InferenceService) -> None:
    """Each open page holds an event for as long as it is open, and Gradio runs 40 at a time unless it is told otherwise."""
    async with served(service) as site, site.browser() as browser:
        config = config_of((await browser.get("/")).text)
        for number in range(45):
            await ask(site, config, "hold", [], user=f"person-{number}")
        given = await asyncio.wait_for(read(site, config, "load", []), 20)
        assert "new empty" in json.dumps(given[-1])
