from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

import auth.keys
from core import settings
from core.errors import SettingsError
from core.settings import load_settings, unknown_variables

GOOGLE = {"client_id": "12-ab.apps.googleusercontent.com", "client_secret": "GOCSPX-hush"}
OLD, NEW = "o" * 32, "n" * 48


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in os.environ:
        if name.startswith("PORTICO_"):
            monkeypatch.delenv(name)
    return tmp_path


def wrong(given: dict[str, Any] | None = None) -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings(given or {})
    assert "\n" not in caught.value.message
    return caught.value.message


def test_flags_win_over_the_environment_and_that_over_the_file(empty_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (empty_folder / "portico.toml").write_text('port = 1001\nmemory = "4GB"\ndata = "a"')
    assert load_settings({}).port == 1001
    assert load_settings({}).memory == 4_000_000_000
    monkeypatch.setenv("PORTICO_PORT", "1002")
    assert load_settings({}).port == 1002
    assert load_settings({"port": 1003}).port == 1003
    assert load_settings({}).data == Path("a")


def test_a_list_comes_from_the_environment_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTICO_UI", "streamlit, gradio")
    assert load_settings({}).ui == ("streamlit", "gradio")
    monkeypatch.setenv("PORTICO_UI", "gradio")
    assert load_settings({}).ui == ("gradio",)
    monkeypatch.setenv("PORTICO_ADMINS", "Ada@Example.com, bo@example.com,")
    monkeypatch.setenv("PORTICO_ALLOWED_DOMAINS", "@Example.com")
    monkeypatch.setenv("PORTICO_TRUSTED_PROXIES", "127.0.0.1,10.0.0.0/8")
    loaded = load_settings({})
    assert loaded.admins == ("ada@example.com", "bo@example.com")
    assert loaded.allowed_domains == ("example.com",)
    assert loaded.trusted_proxies == ("127.0.0.1", "10.0.0.0/8")


def test_models_are_named_or_go_by_their_folder_or_hub_id(empty_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings({}).models == (("", str(settings.BUNDLED_MODEL)),)
    given = load_settings({"model": ["Qwen/Qwen3-0.6B@main", "b.2=./mine", "c=a/b=c"]})
    assert given.models == (("", "Qwen/Qwen3-0.6B@main"), ("b.2", "./mine"), ("c", "a/b=c"))
    monkeypatch.setenv("PORTICO_MODEL", "a=org/one, org/two")
    assert load_settings({}).models == (("a", "org/one"), ("", "org/two"))
    (empty_folder / "b=two" / "x").mkdir(parents=True)
    assert load_settings({"model": ["b=two", "c=b=two"]}).models == (("", "b=two"), ("c", "b=two")), "the folder is there"
    assert wrong({"model": ["b=two/x", "y/x", "x=./z"]}).startswith("--model: two models would be named 'x'")


def test_a_remote_engine_and_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTICO_ENGINE_KEY", "HUSH")
    given = load_settings({"engine": "https://models.example.com/v1/"})
    assert given.engine == "https://models.example.com/v1"
    assert given.models == (), "all that it has"
    assert given.engine_key
    assert given.engine_key.get_secret_value() == "HUSH"
    assert "HUSH" not in repr(given)
    assert load_settings({"engine": "http://127.0.0.1:1/v1", "model": ["a=gpt-x"]}).models == (("a", "gpt-x"),)


def test_another_file_by_name(empty_folder: Path) -> None:
    (empty_folder / "other.toml").write_text('ui = ["streamlit"]')
    assert load_settings({}, Path("other.toml")).ui == ("streamlit",)


def test_a_home_folder_is_written_with_a_tilde(empty_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(empty_folder))
    (empty_folder / "portico.toml").write_text('data = "~/portico"')
    assert load_settings({}).data == empty_folder / "portico"


def test_google_takes_two_settings_from_the_environment_or_the_file_or_each_from_one(
    empty_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (empty_folder / "portico.toml").write_text('[oidc.google]\nclient_id = "from the file"\nclient_secret = "s"')
    assert load_settings({}).oidc["google"].client_id == "from the file"
    (empty_folder / "portico.toml").write_text('[oidc.google]\nclient_id = " from the file "')
    monkeypatch.setenv("PORTICO_OIDC__GOOGLE__CLIENT_SECRET", "from the environment\n")
    loaded = load_settings({})
    assert loaded.oidc["google"].client_id == "from the file"
    assert loaded.oidc["google"].client_secret.get_secret_value() == "from the environment", "what was pasted with a line's end"
    assert loaded.issuer("google") == "https://accounts.google.com"
    assert "from the environment" not in repr(loaded)


def test_several_providers_at_once_each_by_its_issuer(empty_folder: Path) -> None:
    (empty_folder / "portico.toml").write_text(
        '[oidc.google]\nclient_id = "a"\nclient_secret = "b"\n[oidc.our-idp]\nclient_id = "c"\nclient_secret = "d"\n'
        'issuer = "https://id.example.com/realms/us/"\nalgorithm = "ES256"\ntitle = "The office"'
    )
    loaded = load_settings({})
    assert list(loaded.oidc) == ["google", "our-idp"]
    assert loaded.issuer("our-idp") == "https://id.example.com/realms/us/", "to the letter"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"port": 99999}, "--port: "),
        ({"port": "many"}, "--port: give a whole number; 'many' was given."),
        ({"memory": "lots"}, "this is no size; use one like 4GB"),
        ({"memory": "0"}, "--memory: this is no memory at all; use a size like 4GB, or leave it out"),
        ({"memory": "0GB"}, "this is no memory at all"),
        ({"data": "~nobody-of-this-name/portico"}, "--data: ~nobody-of-this-name/portico begins with the home folder of nobody"),
        ({"task": "fly"}, "--task: there is no task 'fly'; choose from chat"),
        ({"ui": ["react"]}, "--ui: there is no frontend 'react'; choose from gradio, streamlit"),
        ({"ui": ["gradio", "gradio"]}, "each only once"),
        ({"ui": []}, "at least one"),
        ({"model": ["org/chat", "org/chat@main"]}, "--model: two models would be named 'org/chat'; name each"),
        ({"model": ["a=org/one", "a=org/two"]}, "two models would be named 'a'"),
        ({"model": ["my model=org/one"]}, "'my model' is no name for a model; use letters, digits"),
        ({"model": ["a="]}, "say after a= which model it is"),
        ({"engine": "ray"}, "--engine: give local, or the URL of a server"),
        ({"engine": "http://"}, "give local, or the URL"),
        ({"engine": "127.0.0.1:8000/v1"}, "give local, or the URL"),
        ({"engine": "http://127.0.0.1:many/v1"}, "give local, or the URL"),
        ({"engine": "http://127.0.0.1/v1?key=GOCSPX"}, "leave out what follows the path in the URL"),
        ({"engine": "http://127.0.0.1/v1?"}, "leave out what follows the path in the URL"),
        ({"engine": "http://127.0.0.1/v1#GOCSPX"}, "leave out what follows the path in the URL"),
        ({"engine": "http://127.0.0.1/v 1"}, "give local, or the URL"),
        ({"engine": "http://bücher.example/v1"}, "give local, or the URL"),
        ({"engine": "http://8.8.8.8/v1", "engine_key": "GOCSPX"}, "engine-key: it would travel to http://8.8.8.8/v1 unencrypted"),
        ({"engine": "http://127.0.0.1/v1", "engine_key": "GOCSPX x"}, "engine-key: it holds characters that no key has"),
        ({"engine": "https://me:GOCSPX@models.example.com/v1"}, "the key stands in PORTICO_ENGINE_KEY"),
        (
            {"engine": "http://127.0.0.1:8000/v1", "memory": "4GB"},
            "--memory: a remote engine's memory",
        ),
        ({"engine_key": "GOCSPX"}, "there is no remote engine to give it to"),
        ({"host": ""}, "--host: is empty"),
        ({"host": "0.0.0.0"}, "say with --public-url"),
        ({"host": "::"}, "say with --public-url"),
        ({"two_factor": "never"}, "--two-factor: choose 'required' or 'optional'; 'never' was given."),
        ({"public_url": "demo.example.com"}, "--public-url: give scheme and host alone, such as https://demo.example.com"),
        ({"public_url": "https://demo.example.com/chat"}, "--public-url: give scheme and host alone"),
        ({"public_url": "https://demo.example.com:many"}, "--public-url: give scheme and host alone"),
        ({"public_url": "https://ada@demo.example.com"}, "--public-url: give scheme and host alone"),
        ({"public_url": "https://a b"}, "--public-url: give scheme and host alone"),
        ({"public_url": "https://"}, "--public-url: give scheme and host alone"),
        ({"public_url": "https://[::1"}, "--public-url: give scheme and host alone"),
        ({"public_url": "https://bücher.example"}, "write the host as browsers send it: xn--bcher-kva.example"),
        ({"admins": ["ada"]}, "'ada' is no email address"),
        ({"allowed_emails": ["a@b", ""]}, "'' is no email address"),
        ({"allowed_domains": ["https://example.com"]}, "'https://example.com' is no domain; write one like example.com"),
        ({"allowed_domains": ["com"]}, "'com' is no domain"),
        ({"trusted_proxies": ["nginx"]}, "'nginx' is no address or network; write one like 10.0.0.0/8"),
        ({"trusted_proxies": ["0.0.0.0/0"]}, "name your proxies alone"),
        ({"trusted_proxies": ["::/0"]}, "name your proxies alone"),
        ({"secret": "short"}, "each secret must be 32 characters long or longer"),
        ({"secret": f"{NEW},short"}, "each secret must be 32 characters long or longer"),
        ({"secret": ""}, "it is empty; leave it out"),
        ({"secret": " , "}, "it is empty; leave it out"),
        ({"secret_file": "nowhere"}, "there is no file nowhere"),
        ({"colour": "red"}, "There is no setting 'colour'"),
        ({"oidc": "google"}, "give a table for each provider, such as [oidc.google]"),
        ({"oidc": {"google": "GOCSPX-hush"}}, "give a table with client_id and client_secret"),
        ({"oidc": {"google": {"client_id": "a"}}}, "is missing"),
        ({"oidc": {"google": GOOGLE | {"client_secret": " "}}}, "is empty"),
        ({"oidc": {"google": GOOGLE | {"client_id": ""}}}, "is empty"),
        ({"oidc": {"google": GOOGLE | {"colour": "red"}}}, "There is no setting 'oidc.google.colour'"),
        ({"oidc": {"google": GOOGLE | {"algorithm": "none"}}}, "choose 'RS256', 'PS256', 'ES256' or 'EdDSA'"),
        ({"oidc": {"google": GOOGLE | {"algorithm": "HS256"}}}, "choose 'RS256', 'PS256', 'ES256' or 'EdDSA'"),
        ({"oidc": {"Our IdP": GOOGLE}}, "name a provider with small letters, digits and hyphens"),
        ({"oidc": {"okta": GOOGLE}}, "is missing: the provider's address, which begins with https://"),
        ({"oidc": {"okta": GOOGLE | {"issuer": "http://id.example.com"}}}, "which begins with https://"),
        ({"oidc": {"okta": GOOGLE | {"issuer": "id.example.com"}}}, "which begins with https://"),
        ({"oidc": {"okta": GOOGLE | {"issuer": "https://a?b=c"}}}, "which begins with https://"),
        (
            {"oidc": {"okta": GOOGLE | {"issuer": "https://a/b/.well-known/openid-configuration"}}},
            "leave out what follows the issuer itself: https://a/b.",
        ),
    ],
)
def test_a_wrong_setting_is_one_sentence(given: dict[str, object], says: str) -> None:
    message = wrong(given)
    assert says in message
    assert message.endswith(".")
    assert "GOCSPX" not in message


def test_secret_and_secret_file_together_are_one_too_many(empty_folder: Path) -> None:
    (empty_folder / "secret").write_text(NEW)
    assert "give one of the two" in wrong({"secret": NEW, "secret_file": "secret"})
    assert load_settings({"secret_file": "secret"}).secret_file == Path("secret")


def test_a_wrong_setting_is_named_as_it_was_written(empty_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert wrong({"public_url": "x"}).startswith("--public-url: ")
    (empty_folder / "portico.toml").write_text('public_url = "x"')
    assert wrong().startswith("public_url in portico.toml: ")
    monkeypatch.setenv("PORTICO_PUBLIC_URL", "y")
    assert wrong().startswith("PORTICO_PUBLIC_URL: ")
    monkeypatch.setenv("PORTICO_PUBLIC_URL", "")
    (empty_folder / "portico.toml").write_text('[oidc.okta]\nclient_id = "a"')
    assert wrong() == "oidc.okta.client_secret in portico.toml: is missing."
    (empty_folder / "portico.toml").write_text("admins = [3]")
    assert wrong() == "admins in portico.toml: give a text in quotes; 3 was given."
    (empty_folder / "portico.toml").unlink()
    monkeypatch.setenv("PORTICO_OIDC__GOOGLE__CLIENT_ID", "a")
    assert wrong() == "PORTICO_OIDC__GOOGLE__CLIENT_SECRET: is missing."


@pytest.mark.parametrize(
    "text",
    [
        'secret = ["HUSH"]',
        'secret = "HUSH"',
        "[secret]\nold = 'HUSH'",
        'oidc = "HUSH"',
        '[oidc]\ngoogle = "HUSH"',
        '[oidc.google]\nclient_secret = "HUSH"',
        '[oidc.google]\nclient_id = "a"\nclient_secret = ["HUSH"]',
        '[oidc.google]\nclient_id = "a"\nclient_secret = "HUSH"\nalgorithm = "HUSH"',
        '[oidc.google]\nclient_id = "a"\nclient_secret = "HUSH"\ncolour = "red"',
        'database = ["postgresql://me:HUSH@host/db"]',
        'engine_key = "HUSH"',
        'engine = "https://me:HUSH@models.example.com/v1"',
        'engine = ["https://me:HUSH@models.example.com/v1"]',
    ],
)
def test_no_sentence_shows_a_secret(empty_folder: Path, text: str) -> None:
    (empty_folder / "portico.toml").write_text(text)
    assert "HUSH" not in wrong()


@pytest.mark.parametrize(
    "name", ["PORTICO_OIDC", "PORTICO_OIDC__GOOGLE", "PORTICO_SECRET", "PORTICO_OIDC__GOOGLE__CLIENT_SECRET"]
)
def test_no_sentence_shows_a_secret_of_the_environment(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "HUSH")
    message = wrong()
    assert name in message or "PORTICO_OIDC__GOOGLE__CLIENT_ID" in message
    assert "HUSH" not in message


def test_a_file_that_is_missing_or_no_toml_or_misspelt_stops_the_start(empty_folder: Path) -> None:
    with pytest.raises(SettingsError, match="no file"):
        load_settings({}, Path("none.toml"))
    (empty_folder / "portico.toml").write_text("port = = 3")
    with pytest.raises(SettingsError, match="cannot be read"):
        load_settings({})
    (empty_folder / "portico.toml").write_text("prot = 3")
    with pytest.raises(SettingsError, match="no setting 'prot'"):
        load_settings({})


def test_a_variable_that_sets_nothing_is_told() -> None:
    given = {"PORTICO_PORT": "1", "PORTICO_OIDC__GOOGLE__CLIENT_ID": "a", "PORTICO_TRUSTED_PROXYS": "b", "HOME": "/"}
    assert unknown_variables(given) == ["PORTICO_TRUSTED_PROXYS"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.0.0.2"])
def test_loopback_addresses_are_served(host: str) -> None:
    loaded = load_settings({"host": host})
    assert loaded.host == host
    assert loaded.serves_loopback


@pytest.mark.parametrize(
    ("given", "url", "loopback"),
    [
        ({}, "http://127.0.0.1:7860", True),
        ({"host": "::1"}, "http://[::1]:7860", True),
        ({"host": "192.168.1.5", "port": 80}, "http://192.168.1.5", False),
        ({"host": "MyBox"}, "http://mybox:7860", False),
        ({"public_url": "http://localhost:7860"}, "http://localhost:7860", True),
        ({"public_url": "https://Demo.Example.com/"}, "https://demo.example.com", False),
        ({"public_url": "https://demo.example.com:443"}, "https://demo.example.com", False),
        ({"public_url": "http://demo.example.com:80"}, "http://demo.example.com", False),
        ({"public_url": "https://demo.example.com:8443", "host": "0.0.0.0"}, "https://demo.example.com:8443", False),
        ({"public_url": "http://[2001:DB8::0001]:7860"}, "http://[2001:db8::1]:7860", False),
    ],
)
def test_the_address_is_written_as_browsers_send_it(given: dict[str, object], url: str, loopback: bool) -> None:
    """Host and Origin are compared with it to the letter."""
    assert load_settings(given).url == url
    assert load_settings(given).serves_loopback is loopback


def test_old_secrets_follow_the_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTICO_SECRET", f"{NEW}, {OLD}")
    assert load_settings({}).secrets() == [NEW, OLD]
    assert NEW not in repr(load_settings({}))


def test_settings_ask_for_secrets_as_long_as_the_vault_does() -> None:
    assert settings.MIN_SECRET == auth.keys.MIN_SECRET


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_settings({}).port = 1  # type: ignore[misc]
