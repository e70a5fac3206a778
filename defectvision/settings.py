"""What a machine sets for itself, each from an environment variable `DEFECTVISION_<NAME>`."""

from __future__ import annotations

import os
import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pydantic_settings
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from defectvision.bundle.signature import check_public_key
from defectvision.limits import MODEL_BYTES, PIXELS, Limits
from defectvision.store.folder import store_in

if TYPE_CHECKING:
    from defectvision.store.database import Store

ROOT = Path(__file__).resolve().parents[1]
NAME = "defectvision"
SHORTEST_TOKEN = 8  # characters; less than that can be guessed


class SettingsError(ValueError):
    """A variable that cannot be used; the message names it, the reason and the remedy, and never
    its value, which may be a secret."""


def user_folder(variable: str, below_home: str) -> Path:
    """The product's folder in one of the XDG base directories (freedesktop.org), which `variable`
    names where it holds an absolute path, and which lies below the user's home otherwise."""
    base = Path(os.environ.get(variable, ""))
    if not base.is_absolute():
        try:
            base = Path.home() / below_home
        except RuntimeError:  # a user without a home: the store then says which setting it needs
            base = Path("/") / below_home
    return base / NAME


def _store() -> Path:
    return store_in(user_folder("XDG_DATA_HOME", ".local/share"), earlier=ROOT / "store")


def _cache() -> Path:
    return user_folder("XDG_CACHE_HOME", ".cache")


class Settings(BaseSettings):
    """The settings in force; every field has a default, so that nothing must be set."""

    model_config = SettingsConfigDict(
        env_prefix="DEFECTVISION_", frozen=True, env_ignore_empty=True, hide_input_in_errors=True
    )

    weights: Path = Field(
        ROOT / "weights", description="folder that holds one folder per line, with its bundles"
    )
    address: str = Field(
        "127.0.0.1",
        description="network address the dashboard listens on; `0.0.0.0` opens it to the network",
    )
    hosts: list[str] = Field(
        [],
        description="names under which browsers and programs reach this server, besides "
        "`localhost`, the machine's own and the address; requests to others are refused",
    )
    sign_in: Literal["", "accounts", "openid", "anyone-may-do-everything"] = Field(
        "",
        description="how people sign in: `accounts` of this store, `openid` for the provider in "
        "`.streamlit/secrets.toml`; where empty, nobody does, and the server listens on this "
        "machine only unless told `anyone-may-do-everything`",
    )
    port: int = Field(8501, ge=1, le=65535, description="port the dashboard listens on")
    max_megapixels: float = Field(
        PIXELS / 1e6, gt=0, description="largest image that is decoded, in millions of pixels"
    )
    model_memory_mb: int = Field(
        MODEL_BYTES // 1_000_000,
        gt=0,
        description="memory for loaded models, in MB; above it those that nobody asked for the "
        "longest are let go, never the one in use",
    )
    data_sets: dict[str, Path] = Field(
        {}, description="labelled sets that the Dataset page offers: name to folder"
    )
    store: Path = Field(
        default_factory=_store,
        description="folder for batches: the database, images, and what was found",
        json_schema_extra={"shown": "`~/.local/share/defectvision`"},
    )
    database: str = Field(
        "",
        description="SQLAlchemy URL, for example `postgresql://user@host/name`",
        json_schema_extra={"shown": "SQLite in the store's folder"},
    )
    files: str = Field(
        "",
        description="fsspec URL for images and maps, for example `s3://bucket/folder` (needs "
        "`s3fs`)",
        json_schema_extra={"shown": "a folder in the store's"},
    )
    source_roots: list[Path] = Field(
        [], description="folders on the server that batches and the Dataset page may read from"
    )
    cache: Path = Field(
        default_factory=_cache,
        description="folder for what was found in labelled sets; it may be deleted",
        json_schema_extra={"shown": "`~/.cache/defectvision`"},
    )
    log: Literal["text", "json"] = Field(
        "text", description="how the log is written: lines of `text`, or of `json` for machines"
    )
    api_tokens: dict[str, SecretStr] = Field(
        {},
        description="who may use the REST API: name to token, each of at least "
        f"{SHORTEST_TOKEN} characters; nobody where empty",
    )
    trusted_keys: dict[str, str] = Field(
        {},
        description="who may vouch for bundles: name to public key, see [signing](signing.md); "
        "where set, a bundle that none of them signed is not loaded",
    )
    api_per_minute: int = Field(
        600, gt=0, description="requests a minute that each token of the REST API may make"
    )
    max_upload_mb: int = Field(
        200, gt=0, description="largest single upload, and largest body of an API request, in MB"
    )

    @field_validator("source_roots", "data_sets", mode="before")
    @classmethod
    def _name_a_folder(cls, given: Any) -> Any:
        paths = given.values() if isinstance(given, dict) else given
        if any(isinstance(path, str) and not path.strip() for path in paths):
            raise ValueError("a folder is empty, which would be the one that the server runs in")
        return given

    @field_validator("api_tokens")
    @classmethod
    def _cannot_be_guessed(cls, given: dict[str, SecretStr]) -> dict[str, SecretStr]:
        for place, (name, secret) in enumerate(given.items(), 1):
            token, which = secret.get_secret_value(), f"token {place} of {len(given)}"
            if not name.strip():
                raise ValueError(f"{which} has no name, under which its decisions would be kept")
            if not token.isprintable() or " " in token:
                raise ValueError(f"{which} holds a blank or a character that cannot be printed")
            if len(token) < SHORTEST_TOKEN:
                raise ValueError(f"{which} has fewer than {SHORTEST_TOKEN} characters")
        return given

    @field_validator("trusted_keys")
    @classmethod
    def _are_keys(cls, given: dict[str, str]) -> dict[str, str]:
        for place, (name, key) in enumerate(given.items(), 1):
            which = f"key {place} of {len(given)}"
            if not name.strip():
                raise ValueError(f"{which} has no name")
            try:
                check_public_key(key)
            except ValueError as error:
                raise ValueError(f"{which} {error}") from error
        return given

    @property
    def limits(self) -> Limits:
        """What decoding and loaded models may take in this process."""
        trusted = tuple(self.trusted_keys.items())
        return Limits(int(self.max_megapixels * 1e6), self.model_memory_mb * 1_000_000, trusted)


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The settings of this process, read once; raises SettingsError."""
    try:
        return Settings()
    except ValidationError as error:
        wrong = {
            str(one["loc"][0]): one["msg"].removeprefix("Value error, ").lower()
            for one in error.errors(include_input=False)
        }
    except pydantic_settings.SettingsError as error:
        wrong = dict.fromkeys(re.findall(r'field "(\w+)"', str(error)), "is not written as JSON")
    said = "; ".join(f"DEFECTVISION_{name.upper()}: {why}" for name, why in wrong.items())
    # Outside the handlers, so that no traceback leads back to a value.
    raise SettingsError(f"{said}. Correct it; docs/settings.md says what it is")


def the_store() -> Store:
    """The store that the settings name, opened once; raises StoreError."""
    from defectvision.store.database import open_store  # the first page does not wait for it

    about = settings()
    return open_store(about.store, about.database, about.files)
