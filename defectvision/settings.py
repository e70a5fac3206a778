"""What a machine sets for itself, each from an environment variable `DEFECTVISION_<NAME>`."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from defectvision.limits import MODEL_BYTES, PIXELS, Limits
from defectvision.store.folder import store_in

ROOT = Path(__file__).resolve().parents[1]
NAME = "defectvision"


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

    model_config = SettingsConfigDict(env_prefix="DEFECTVISION_", frozen=True)

    weights: Path = Field(
        ROOT / "weights", description="folder that holds one folder per line, with its bundles"
    )
    address: str = Field(
        "127.0.0.1",
        description="network address the dashboard listens on; `0.0.0.0` opens it to the network",
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
    api_tokens: dict[str, SecretStr] = Field(
        {}, description="who may use the REST API: name to token; nobody where empty"
    )
    api_per_minute: int = Field(
        600, gt=0, description="requests a minute that each token of the REST API may make"
    )
    max_upload_mb: int = Field(
        200, gt=0, description="largest single upload, and largest body of an API request, in MB"
    )

    @property
    def limits(self) -> Limits:
        """What decoding and loaded models may take in this process."""
        return Limits(int(self.max_megapixels * 1e6), self.model_memory_mb * 1_000_000)


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The settings of this process, read once."""
    return Settings()
