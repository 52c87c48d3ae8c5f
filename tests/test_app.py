"""The process as a person starts it: the command line, the start behind the open port, the end on a signal."""

from __future__ import annotations

import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Engine

from app import VERSION, listen
from core.engine import LocalEngine
from core.engine.served import Entry
from core.service import InferenceService
from core.settings import Settings
from core.store import Store
from startup import Portico
from tests.support.clock import wait_until
from tests.support.runner import ScriptedRunner
from tests.support.serve import ROOT, Served


def command(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "app.py", *words], cwd=ROOT, capture_output=True, text=True, timeout=60)


def portico(settings: Settings, database: Engine) -> Portico:
    return Portico(settings, Store(database), None, print, lambda progress: None, lambda: None)


def test_an_engines_address_names_no_model(database: Engine) -> None:
    """Until the engine has told its models' names, everyone would be shown an address of the house."""
    assert portico(Settings(engine="http://10.0.0.5:8000/v1"), database).model_name == ""


def test_why_the_default_does_not_come_back_is_in_the_log(database: Engine, caplog: pytest.LogCaptureFixture) -> None:
    """At the start it ends the process instead, with the same sentence."""
    started, failed = portico(Settings(), database), Entry("first", "./first", "failed", error="'first' is damaged.")
    started._follow([failed])
    assert not caplog.text
    started._told.clear()
    started.service = InferenceService(Store(database), LocalEngine(ScriptedRunner(["hi"])), [])
    started._follow([failed])
    assert "first: 'first' is damaged." in caplog.text
    started.service.close()


def test_version_and_help_name_every_flag() -> None:
    assert command("--version").stderr.strip() == f"Portico {VERSION}"
    shown = command("serve", "--help").stdout
    for flag in ("--model", "--engine", "--ui", "--host", "--port", "--data", "--database", "--memory", "--config"):
        assert flag in shown


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--port", "99999"], "--port"),
        (["serve", "--ui", "react"], "no frontend 'react'"),
        (["--host", "0.0.0.0"], "say with --public-url"),
        (["--config", "none.toml"], "no file none.toml"),
        (["--model", "a/b", "--model", "a/b@main"], "two models would be named 'a/b'"),
        (["--engine", "http://127.0.0.1:9/v1", "--memory", "4GB"], "its own server's matter"),
    ],
)
def test_a_wrong_flag_stops_the_start_with_one_sentence(words: list[str], says: str) -> None:
    ran = command(*words)
    assert ran.returncode == 2
    assert says in ran.stderr
    assert ran.stderr.startswith("Portico stopped: ")
    assert ran.stderr.count("\n") == 1


@pytest.mark.parametrize("model", ["~nobody-of-this-name/x", "/" + "x" * 300])
def test_a_folder_that_cannot_be_looked_at_stops_the_start_with_a_sentence(model: str, tmp_path: Path) -> None:
    ran = command("--model", model, "--data", str(tmp_path), "--port", "0")
    assert ran.returncode == 1
    assert ran.stderr.splitlines()[-1].startswith(f"Portico stopped: No model at {model!r}: there is no such folder.")
    assert "Traceback" not in ran.stderr


def test_help_lists_the_commands() -> None:
    shown = command("--help").stdout
    for name in ("serve", "doctor", "user"):
        assert f" {name} " in shown
    shown = command("user", "--help").stdout
    for name in ("list", "invite", "role", "reset-2fa", "revoke", "enable"):
        assert f" {name} " in shown


def test_plain_http_for_other_machines_says_that_it_is_not_encrypted(tmp_path: Path, chat_model: Path) -> None:
    flags = ["--model", str(chat_model), "--ui", "streamlit", "--host", "0.0.0.0"]
    with Served(tmp_path / "open", *flags, "--public-url", "http://192.0.2.1:7860", pace=None) as served:
        assert "/auth/link#" in served.link
        assert "Not encrypted: at http://192.0.2.1:7860 the network can read along." in served.terminal
    with Served(tmp_path / "https", *flags, "--public-url", "https://demo.example.com", pace=None) as served:
        assert "/auth/link#" in served.link
        assert "Not encrypted" not in served.terminal


def test_a_taken_port_says_so() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ran = command("--port", str(taken.getsockname()[1]))
    assert ran.returncode == 2
    assert "choose another with --port" in ran.stderr


@pytest.mark.parametrize(
    ("flags", "says"),
    [(["--model", "./nowhere"], "there is no such folder"), (["--memory", "1MB"], "the memory limit is 0.001 GB")],
)
def test_a_model_that_cannot_be_served_stops_the_process_with_one_sentence(
    tmp_path: Path, chat_model: Path, flags: list[str], says: str
) -> None:
    flags = flags if "--model" in flags else [*flags, "--model", str(chat_model)]
    served = Served(tmp_path, "--ui", "streamlit", *flags, pace=None)
    assert served.process.wait(60) == 1
    wait_until(lambda: "Portico stopped:" in served.terminal)
    assert says in served.lines[-1]
    assert "Traceback" not in served.terminal
    served.__exit__(None, None, None)


def test_a_real_model_behind_the_door(tmp_path: Path, chat_model: Path) -> None:
    """The port answers while the model and the frontends are still to come; then everything is there."""
    with Served(tmp_path, "--model", str(chat_model), "--ui", "streamlit", pace=None) as served:
        early = httpx.get(f"{served.url}/healthz")
        assert early.status_code == 200
        not_ready = httpx.get(f"{served.url}/readyz")
        assert not_ready.status_code == 503
        assert not_ready.json() == {"ready": False}, "a stranger learns no more"
        client = httpx.Client(base_url=served.url, cookies=served.session())
        waiting = client.get("/streamlit/", headers={"accept": "text/html"})
        assert waiting.status_code == 503
        assert "is starting" in waiting.text
        steps = client.get("/readyz").json()["steps"]
        assert [step["name"] for step in steps] == ["download", "weights", "streamlit"]
        served.wait_ready()
        home = client.get("/", headers={"accept": "text/html"}).text
        assert "tiny-chat" in home
        assert 'src="/streamlit/"' in home
        assert client.get("/?ui=gradio").status_code == 404, "a frontend that is not served is not offered"
        wait_until(lambda: "Ready." in served.terminal)
        assert "Load the model: done" in served.terminal
        client.close()
    assert "Traceback" not in served.terminal


def test_several_models_come_up_in_order_and_one_that_cannot_stops_nothing(tmp_path: Path, chat_model: Path) -> None:
    with_equals = tmp_path / "x=y"
    shutil.copytree(chat_model, with_equals)
    flags = ["--model", f"a={chat_model}", "--model", str(with_equals), "--model", "c=./nowhere", "--ui", "streamlit"]
    with Served(tmp_path / "data", *flags, pace=None) as served:
        served.wait_ready()
        client = httpx.Client(base_url=served.url, cookies=served.session())

        def states() -> dict[str, str]:
            return {one["name"]: one["state"] for one in client.get("/readyz").json()["models"]}

        wait_until(lambda: states() == {"a": "ready", "x=y": "ready", "c": "failed"}, what="the others")
        said = ("c: No model at './nowhere'", "portico: a: ", "portico: x=y: ")
        wait_until(lambda: all(line in served.terminal for line in said))
        lines = served.terminal
        assert lines.index("portico: a: ") < lines.index("portico: x=y: ")
        client.close()
    assert "Traceback" not in served.terminal


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--model", "./nowhere"], "No model at './nowhere'"),
        (["--model", str(ROOT / "demo" / "model"), "--memory", "500MB"], "needs about 0.7 GB and the memory limit is 0.5 GB"),
        (["--engine", "http://127.0.0.1:9/v1"], "http://127.0.0.1:9/v1"),
    ],
)
def test_a_default_that_cannot_be_had_stops_the_process(tmp_path: Path, flags: list[str], says: str) -> None:
    ran = command("--port", "0", "--ui", "streamlit", "--data", str(tmp_path), *flags)
    assert ran.returncode == 1
    assert says in ran.stderr.splitlines()[-1]
    assert "Traceback" not in ran.stderr


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("data")) as running:
        yield running.wait_ready()


def test_each_start_prints_one_link_that_opens_one_session(served: Served) -> None:
    client = httpx.Client(base_url=served.url, headers={"origin": served.url})
    token = served.link.partition("#")[2]
    assert client.post("/auth/link", data={"token": token}).status_code == 303
    assert client.get("/", headers={"accept": "text/html"}).status_code == 200
    assert client.post("/auth/link", data={"token": token}).status_code == 403
    client.close()


def test_the_terminal_shows_no_request_and_no_secret_but_the_link(served: Served) -> None:
    httpx.get(f"{served.url}/readyz?secret=1")
    assert not re.search(r"GET|secret=1", served.terminal)


def test_static_files_are_compressed_once_and_kept_by_the_browser_for_every_frontend(served: Served) -> None:
    client = httpx.Client(base_url=served.url, cookies=served.session())
    for name in ("gradio", "streamlit"):
        page = client.get(f"/{name}/", headers={"accept": "text/html"})
        assert page.status_code == 200
        scripts = re.findall(r'(?:src|href)="([^"]+[-.][\w-]{8,}\.js)"', page.text)
        assert scripts, page.text[:500]
        for _ in range(2):
            script = client.get(httpx.URL(f"{served.url}/{name}/").join(scripts[0]))
            assert script.headers["content-encoding"] == "gzip", name
            assert script.headers["cache-control"] == "public, max-age=31536000, immutable"
            assert int(script.headers["content-length"]) < len(script.content) / 2
        plain = client.get(httpx.URL(f"{served.url}/{name}/").join(scripts[0]), headers={"accept-encoding": "identity"})
        assert "content-encoding" not in plain.headers
        assert plain.content == script.content
    client.close()


def test_a_signal_ends_it_within_five_seconds_with_a_stream_open(tmp_path: Path) -> None:
    with Served(tmp_path, "--ui", "gradio") as running:
        running.wait_ready()
        cookies = running.session()
        with httpx.stream("GET", f"{running.url}/gradio/gradio_api/heartbeat/abcdefgh123", cookies=cookies, timeout=30) as stream:
            assert stream.status_code == 200
            started = time.monotonic()
            assert running.stop(seconds=10) in (0, -15)
            assert time.monotonic() - started < 5
    assert "Traceback" not in running.terminal


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--database", "postgresql://x@127.0.0.1:9/none?connect_timeout=2"], "Check --database"),
        (["--data", "README.md"], "this folder cannot be used"),
        (["--model", "org/na--me"], "no name of a model"),
    ],
)
def test_what_cannot_be_used_stops_the_process_with_one_sentence(tmp_path: Path, flags: list[str], says: str) -> None:
    words = ["--port", "0", "--ui", "streamlit", "--data", str(tmp_path), *flags]
    ran = command(*words)
    assert ran.returncode == 1
    assert says in ran.stderr.splitlines()[-1]
    assert "Traceback" not in ran.stderr


def test_one_process_a_data_folder(tmp_path: Path) -> None:
    with Served(tmp_path, "--ui", "streamlit") as first:
        assert first.link
        ran = command("--port", "0", "--data", str(tmp_path))
        assert ran.returncode == 1
        assert "Another Portico uses" in ran.stderr


def test_a_download_that_hangs_does_not_hold_up_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
        running = Served(tmp_path / "data", "--ui", "streamlit", "--model", "org/slow", pace=None)
        assert running.link
        silent.settimeout(30)
        connection, _ = silent.accept()  # now it waits for an answer
        assert running.stop(seconds=10) in (0, -15)
        connection.close()
    running.__exit__(None, None, None)


def test_an_interrupt_ends_it_without_a_traceback(tmp_path: Path) -> None:
    running = Served(tmp_path, "--ui", "streamlit").wait_ready()
    running.process.send_signal(signal.SIGINT)
    running.process.wait(10)
    running.__exit__(None, None, None)
    assert "Traceback" not in running.terminal


def test_an_address_of_the_network_leaves_the_link_its_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """The link works from this machine's loopback alone, so that address listens too, at the same port."""
    monkeypatch.setattr("cli.is_loopback", lambda host: host == "127.0.0.1")  # 127.0.0.2 plays the network's
    opened = listen(Settings(host="127.0.0.2", port=0))
    names = [one.getsockname() for one in opened]
    for one in opened:
        one.close()
    assert [name for name, _ in names] == ["127.0.0.2", "127.0.0.1"]
    assert names[0][1] == names[1][1]
