"""All settings in one frozen object: defaults < portico.toml < environment (PORTICO_*) < command line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ByteSize,
    ConfigDict,
    Field,
    SecretStr,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from core.errors import SettingsError
from core.tasks import TASKS

BUNDLED_MODEL = Path(__file__).resolve().parent.parent / "demo" / "model"
FRONTENDS = ("gradio", "streamlit")
WITHOUT_FLAG = ("oidc", "admins", "allowed_emails", "allowed_domains", "trusted_proxies", "secret", "secret_file")
GOOGLE = "https://accounts.google.com"

Names = Annotated[tuple[str, ...], NoDecode]


class OidcProvider(BaseModel):
    """A provider to sign in with. For the name "google" the issuer and the title are known."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    client_id: str = Field(min_length=1)
    client_secret: SecretStr
    issuer: str = ""
    title: str = ""
    algorithm: Literal["RS256", "PS256", "ES256", "EdDSA"] = "RS256"


class Settings(BaseSettings):
    """What `serve` is told. Each field is a flag, an environment variable and a key of portico.toml by the same name."""

    model_config = SettingsConfigDict(env_prefix="PORTICO_", env_nested_delimiter="__", frozen=True, extra="forbid")

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

    public_url: str = Field(default="", description="The address that people open, such as https://demo.example.com.")
    two_factor: Literal["required", "optional"] = Field(
        default="optional", description="Whether the owner needs a second factor on loopback too; everyone else always does."
    )

    # These have no flag: they are secret, or lists.
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

    @field_validator("ui", "admins", "allowed_emails", "allowed_domains", "trusted_proxies", mode="before")
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
        self._check_sign_in()
        return self

    def _check_sign_in(self) -> None:
        if self.host in ("0.0.0.0", "::") and not self.public_url:  # noqa: S104 (it is compared)
            raise ValueError(f"--host {self.host} listens on every address; say with --public-url under which one people open it")
        if self.public_url:
            url = urlsplit(self.public_url)
            if (
                url.scheme not in ("http", "https")
                or not url.netloc
                or url.path not in ("", "/")
                or url.query
                or "@" in url.netloc
            ):
                raise ValueError("--public-url: give scheme and host alone, such as https://demo.example.com")
        for name, provider in self.oidc.items():
            if not re.fullmatch(r"[a-z0-9-]{1,32}", name):
                raise ValueError(f"oidc.{name}: name a provider with small letters, digits and hyphens")
            issuer = self.issuer(name)
            if not issuer.startswith("https://") and not _is_loopback(urlsplit(issuer).hostname or ""):
                raise ValueError(f"oidc.{name}.issuer: give the provider's address, which begins with https://")
            if not provider.client_secret.get_secret_value():
                raise ValueError(f"oidc.{name}.client_secret is empty")
        if self.oidc and not (self.admins or self.allowed_emails or self.allowed_domains) and not self.serves_loopback:
            raise ValueError("nobody may come in: name yourself in admins, or others in allowed_emails or allowed_domains")
        for one in self.trusted_proxies:
            try:
                ip_network(one, strict=False)
            except ValueError:
                raise ValueError(f"trusted_proxies: {one!r} is no address or network such as 10.0.0.0/8") from None

    @property
    def serves_loopback(self) -> bool:
        """Whether only this machine can reach the server: no other address, and none given to people."""
        return _is_loopback(self.host) and (not self.public_url or _is_loopback(urlsplit(self.public_url).hostname or ""))

    @property
    def url(self) -> str:
        """The address that people open, without a slash at its end."""
        if self.public_url:
            url = urlsplit(self.public_url)
            return f"{url.scheme}://{url.netloc}".lower()
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"

    def secrets(self) -> list[str]:
        """The secrets of the environment or the settings file, the newest first; none if they stand in a file of their own."""
        given = self.secret.get_secret_value() if self.secret else ""
        return [one.strip() for one in given.split(",") if one.strip()]

    def issuer(self, name: str) -> str:
        """The issuer of a provider, as its discovery document must say it."""
        return self.oidc[name].issuer or (GOOGLE if name == "google" else "")

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
