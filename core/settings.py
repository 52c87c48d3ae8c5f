"""All settings in one frozen object: defaults < portico.toml < environment (PORTICO_*) < command line."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    ByteSize,
    Field,
    SecretStr,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource
from pydantic_settings import SettingsError as UnreadableVariable

from core.addresses import (
    clean_api,
    clean_api_key,
    clean_domain,
    clean_email,
    clean_network,
    clean_origin,
    is_loopback,
    is_loopback_url,
    join_origin,
)
from core.errors import SettingsError
from core.references import BUNDLED_MODEL, name_of, split_name
from core.settings_errors import WrongSetting, sentence, variable_sentence
from core.settings_provider import GOOGLE, OidcProvider
from core.tasks import TASKS

__all__ = ["BUNDLED_MODEL", "OidcProvider", "Settings", "load_settings", "unknown_variables"]

FRONTENDS = ("gradio", "streamlit")
WITHOUT_FLAG = (
    "oidc", "admins", "allowed_emails", "allowed_domains", "trusted_proxies", "secret", "secret_file", "engine_key",
)  # fmt: skip
EVERY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104 (compared, not bound)
MIN_SECRET = 32  # characters, as auth/keys.py asks

Names = Annotated[tuple[str, ...], NoDecode]


class Settings(BaseSettings):
    """What `serve` is told. Each field is a flag, an environment variable and a key of portico.toml by the same name."""

    model_config = SettingsConfigDict(
        env_prefix="PORTICO_", env_nested_delimiter="__", frozen=True, extra="forbid", hide_input_in_errors=True
    )

    model: Names = Field(
        default=(), description="A model: a hub id such as Qwen/Qwen3-0.6B, or a folder; with NAME= several may be given."
    )
    engine: str = Field(default="local", description="Where models run: local, or the URL of a server with OpenAI's API.")
    task: str = Field(default="chat", description="What the model is asked.")
    ui: Annotated[tuple[str, ...], NoDecode] = Field(
        default=FRONTENDS, description="A frontend to serve; may be given several times."
    )
    host: str = Field(default="127.0.0.1", min_length=1, description="The address to listen on.")
    port: int = Field(default=7860, ge=0, le=65535, description="The port to listen on; 0 takes a free one.")
    data: Path = Field(default=Path(".data"), description="The folder for the database and keys.")
    database: str = Field(default="", description="A database URL; the default is SQLite in the data folder.")
    memory: ByteSize | None = Field(default=None, description="How much memory the whole process may take, such as 4GB.")

    public_url: str = Field(default="", description="The address that people open, such as https://demo.example.com.")
    two_factor: Literal["required", "optional"] = Field(
        default="optional", description="Whether the owner needs a second factor on loopback too; everyone else always does."
    )

    # These have no flag: they are secret, or lists.
    engine_key: SecretStr | None = Field(default=None, description="The key that the engine's server asks for.")
    oidc: dict[str, OidcProvider] = Field(default={}, description="Providers to sign in with, by name.")
    admins: Names = Field(default=(), description="Emails of those who come in as admins.")
    allowed_emails: Names = Field(default=(), description="Emails of those who may come in.")
    allowed_domains: Names = Field(default=(), description="Domains whose people may come in.")
    trusted_proxies: Names = Field(default=(), description="Proxies that may say for whom they ask, such as 10.0.0.0/8.")
    secret: SecretStr | None = Field(default=None, description="The server's secret; old ones may follow, after commas.")
    secret_file: Path | None = Field(default=None, description="A file with the secret, old ones in the lines below it.")

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

    @field_validator("model", "ui", "admins", "allowed_emails", "allowed_domains", "trusted_proxies", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        """PORTICO_UI=gradio,streamlit"""
        return [name.strip() for name in value.split(",") if name.strip()] if isinstance(value, str) else value

    @field_validator("memory", mode="before")
    @classmethod
    def _size(cls, value: Any) -> Any:
        try:
            size = TypeAdapter(ByteSize).validate_python(value) if value is not None else None
        except ValidationError:
            raise ValueError("this is no size; use one like 4GB or 800MB") from None
        if size is not None and size <= 0:
            raise ValueError("this is no memory at all; use a size like 4GB, or leave it out for what the machine has")
        return size

    @field_validator("model")
    @classmethod
    def _model(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        names = [name or name_of(reference) for name, reference in map(split_name, value)]
        if twice := next((name for name in names if names.count(name) > 1), ""):
            raise ValueError(f"two models would be named {twice!r}; name each, as in first=ID_OR_PATH")
        return value

    @field_validator("engine")
    @classmethod
    def _engine(cls, value: str) -> str:
        return value if value == "local" else clean_api(value)

    @field_validator("task")
    @classmethod
    def _task(cls, value: str) -> str:
        if value not in TASKS:
            raise ValueError(f"there is no task {value!r}; choose from {', '.join(TASKS)}")
        return value

    @field_validator("ui")
    @classmethod
    def _ui(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := [name for name in value if name not in FRONTENDS]:
            raise ValueError(f"there is no frontend {unknown[0]!r}; choose from {', '.join(FRONTENDS)}")
        if not value or len(set(value)) < len(value):
            raise ValueError("name at least one frontend, and each only once")
        return value

    @field_validator("data", "secret_file")
    @classmethod
    def _path(cls, value: Path | None) -> Path | None:
        try:
            return value.expanduser() if value else None
        except RuntimeError:
            raise ValueError(f"{value} begins with the home folder of nobody; write the folder out") from None

    @field_validator("public_url")
    @classmethod
    def _origin(cls, value: str) -> str:
        return clean_origin(value) if value else ""

    @field_validator("admins", "allowed_emails", "allowed_domains", "trusted_proxies")
    @classmethod
    def _each(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        clean = {"allowed_domains": clean_domain, "trusted_proxies": clean_network}.get(str(info.field_name), clean_email)
        return tuple(clean(one) for one in value)

    @field_validator("secret")
    @classmethod
    def _secret(cls, value: SecretStr | None) -> SecretStr | None:
        given = split_secrets(value) if value is not None else None
        if given == []:
            raise ValueError("it is empty; leave it out, and a secret is made in the data folder")
        if given and min(map(len, given)) < MIN_SECRET:
            raise ValueError(f"each secret must be {MIN_SECRET} characters long or longer")
        return value

    @model_validator(mode="after")
    def _check(self) -> Self:
        """What only shows in several settings together."""
        if self.host in EVERY_ADDRESS and not self.public_url:
            raise WrongSetting(("host",), f"{self.host} is every address; say with --public-url under which one people open it")
        if self.engine != "local" and self.memory is not None:
            raise WrongSetting(("memory",), "a remote engine's memory is its own server's matter; leave one of the two out")
        if self.engine == "local" and self.engine_key is not None:
            raise WrongSetting(("engine_key",), "there is no remote engine to give it to; name one with --engine")
        if self.engine_key is not None:
            try:
                clean_api_key(self.engine_key.get_secret_value(), self.engine)
            except ValueError as error:
                raise WrongSetting(("engine_key",), str(error)) from None
        if self.secret and self.secret_file:
            raise WrongSetting(("secret_file",), "there is a secret too; give one of the two")
        if self.secret_file and not self.secret_file.is_file():
            raise WrongSetting(("secret_file",), f"there is no file {self.secret_file}; write a secret into it first")
        for name, provider in self.oidc.items():
            if not re.fullmatch(r"[a-z0-9-]{1,32}", name):
                raise WrongSetting(("oidc", name), "name a provider with small letters, digits and hyphens")
            if not provider.issuer and name != "google":
                raise WrongSetting(("oidc", name, "issuer"), "is missing: the provider's address, which begins with https://")
        return self

    @property
    def models(self) -> tuple[tuple[str, str], ...]:
        """What to serve as (name or "", reference), the default first; none: all that a remote engine has."""
        given = self.model or ((str(BUNDLED_MODEL),) if self.engine == "local" else ())
        return tuple(map(split_name, given))

    @property
    def serves_loopback(self) -> bool:
        """Whether only this machine can reach the server: no other address, and none given to people."""
        return is_loopback(self.host) and (not self.public_url or is_loopback_url(self.public_url))

    @property
    def url(self) -> str:
        """The address that people open, without a slash at its end."""
        return self.public_url or join_origin("http", self.host, self.port)

    def secrets(self) -> list[str]:
        """The secrets of the environment or the settings file, the newest first; none if they stand in a file of their own."""
        return split_secrets(self.secret) if self.secret else []

    def issuer(self, name: str) -> str:
        """The issuer of a provider, as its discovery document must say it."""
        return self.oidc[name].issuer or (GOOGLE if name == "google" else "")

    @property
    def database_url(self) -> str:
        return self.database or f"sqlite:///{self.data / 'portico.db'}"


def split_secrets(given: SecretStr) -> list[str]:
    """The newest first."""
    return [one.strip() for one in given.get_secret_value().split(",") if one.strip()]


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
        raise SettingsError(sentence(error, overrides, os.environ, file)) from None
    except UnreadableVariable:
        raise SettingsError(variable_sentence(os.environ)) from None
    except (ValueError, OSError) as error:  # a portico.toml that is no TOML
        raise SettingsError(f"{file} cannot be read: {error}.") from None


def unknown_variables(environ: Mapping[str, str]) -> list[str]:
    """Variables that begin as ours do and set nothing: a name that is misspelt, most likely."""
    known = {f"PORTICO_{name.upper()}" for name in Settings.model_fields}
    ours = [name for name in environ if name.upper().startswith("PORTICO_")]
    return sorted(name for name in ours if name.upper() not in known and not name.upper().startswith("PORTICO_OIDC__"))
