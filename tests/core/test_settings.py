from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import SettingsError
from core.settings import Settings, load_settings


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(f"PORTICO_{name.upper()}", raising=False)
    return tmp_path


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


def test_another_file_by_name(empty_folder: Path) -> None:
    (empty_folder / "other.toml").write_text('ui = ["streamlit"]')
    assert load_settings({}, Path("other.toml")).ui == ("streamlit",)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"port": 99999}, "--port"),
        ({"port": "many"}, "'many' was given"),
        ({"memory": "lots"}, "this is no size; use one like 4GB"),
        ({"task": "fly"}, "no task 'fly'; choose from chat"),
        ({"ui": ["react"]}, "no frontend 'react'; choose from gradio, streamlit"),
        ({"ui": ["gradio", "gradio"]}, "each only once"),
        ({"ui": []}, "at least one"),
        ({"host": "0.0.0.0"}, "say with --public-url"),
        ({"colour": "red"}, "no setting 'colour'"),
    ],
)
def test_a_wrong_setting_is_one_sentence(given: dict[str, object], says: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(given)
    assert says in caught.value.message
    assert "\n" not in caught.value.message


def test_a_file_that_is_missing_or_no_toml_or_misspelt_stops_the_start(empty_folder: Path) -> None:
    with pytest.raises(SettingsError, match="no file"):
        load_settings({}, Path("none.toml"))
    (empty_folder / "portico.toml").write_text("port = = 3")
    with pytest.raises(SettingsError, match="cannot be read"):
        load_settings({})
    (empty_folder / "portico.toml").write_text("prot = 3")
    with pytest.raises(SettingsError, match="no setting 'prot'"):
        load_settings({})


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.0.0.2"])
def test_loopback_addresses_are_served(host: str) -> None:
    assert load_settings({"host": host}).host == host


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_settings({}).port = 1  # type: ignore[misc]
