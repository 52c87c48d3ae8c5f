"""All settings in one frozen object: defaults < portico.toml < environment (PORTICO_*) < command line."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import ByteSize, Field, TypeAdapter, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from core.errors import SettingsError
from core.tasks import TASKS

BUNDLED_MODEL = Path(__file__).resolve().parent.parent / "demo" / "model"
FRONTENDS = ("gradio", "streamlit")


class Settings(BaseSettings):
    """What `serve` is told. Each field is a flag, an environment variable and a key of portico.toml by the same name."""

    model_config = SettingsConfigDict(env_prefix="PORTICO_", frozen=True, extra="forbid")

    model: str = Field(default=str(BUNDLED_MODEL), description="The model: a hub id such as Qwen/Qwen3-0.6B, or a folder.")
    task: str = Field(default="chat", description="What the model is asked.")
    ui: Annotated[tuple[str, ...], NoDecode] = Field(
        default=FRONTENDS, description="A frontend to serve; may be given several times."
    )
    host: str = Field(default="127.0.0.1", description="The address to listen on.")
    port: int = Field(default=7860, ge=0, le=65535, description="The port to listen on; 0 takes a free one.")
    data: Path = Field(default=Path(".data"), description="The folder for the database and keys.")
    database: str = Field(default="", description="A database URL; the default is SQLite in the data folder.")
    memory: ByteSize | None = Field(default=None, description="How much memory the whole process may take, such as 4GB.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    @field_validator("ui", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        """PORTICO_UI=gradio,streamlit"""
        return [name.strip() for name in value.split(",") if name.strip()] if isinstance(value, str) else value

    @field_validator("memory", mode="before")
    @classmethod
    def _size(cls, value: Any) -> Any:
        try:
            return TypeAdapter(ByteSize).validate_python(value) if value is not None else None
        except ValidationError:
            raise ValueError("this is no size; use one like 4GB or 800MB") from None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.task not in TASKS:
            raise ValueError(f"--task: there is no task {self.task!r}; choose from {', '.join(TASKS)}")
        if unknown := [name for name in self.ui if name not in FRONTENDS]:
            raise ValueError(f"--ui: there is no frontend {unknown[0]!r}; choose from {', '.join(FRONTENDS)}")
        if not self.ui or len(set(self.ui)) < len(self.ui):
            raise ValueError("--ui: name at least one frontend, and each only once")
        if not _is_loopback(self.host):
            raise ValueError(
                f"--host {self.host}: other machines may come in only with a second factor, which this version does not have "
                "yet; leave out --host, and reach it from elsewhere through `ssh -L 7860:127.0.0.1:7860`"
            )
        return self

    @property
    def database_url(self) -> str:
        return self.database or f"sqlite:///{self.data / 'portico.db'}"


def load_settings(overrides: Mapping[str, Any], config: Path | None = None) -> Settings:
    """The settings in force; `overrides` are the flags that were given. Raises SettingsError with one sentence.

    `config` must exist if it is given; without it, portico.toml in the current folder is read if there is one.
    """
    if config is not None and not config.is_file():
        raise SettingsError(f"There is no file {config}. Give --config the path of a portico.toml, or leave it out.")
    file = config or Path("portico.toml")

    class WithFile(Settings):  # pydantic-settings takes the file's path from the class
        model_config = SettingsConfigDict(toml_file=file)

    try:
        return WithFile(**overrides)
    except ValidationError as error:
        raise SettingsError(_sentence(error)) from None
    except (ValueError, OSError) as error:  # a portico.toml that is no TOML
        raise SettingsError(f"{file} cannot be read: {error}.") from None


def _sentence(error: ValidationError) -> str:
    first = error.errors()[0]
    message = first["msg"].removeprefix("Value error, ")
    if not first["loc"]:
        return message + "."
    name = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"There is no setting {name!r}. The README lists those there are."
    return f"--{name} (or {name} in portico.toml): {message}; {first['input']!r} was given."


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
