"""What an operator may set: flags before `KINFOLK_*` variables before a TOML file before defaults.

Read by `serve`, the console and the command line only; every other room receives plain values.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from kinfolk.errors import OptionError
from kinfolk.online.stores.password import without_password

PREFIX = "KINFOLK_"
_URLS = ("store", "bus_url")


class Settings(BaseSettings):
    """Everything `kinfolk serve` and `kinfolk refresh` read. Durations are seconds, sizes bytes."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True, validate_default=False)

    bundle: Path | None = Field(None, description="The bundle to serve: a directory that `kinfolk train` wrote.")
    store: str = Field("sqlite:///kinfolk.db", description="Where clicks live: sqlite:///FILE, redis://HOST, memory:")
    host: str = Field("127.0.0.1", description="Address to listen on.", min_length=1)
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one and says which.")
    workers: int = Field(1, ge=1, le=64, description="Processes that answer; more than one needs a shared store.")

    auth: bool = Field(True, description="Ask for an API key; off only on a loopback address.")
    open_metrics: bool = Field(True, description="Give /metrics without a key.")
    rate_limit: float = Field(
        0.0, ge=0, allow_inf_nan=False, description="Requests a second for keys without a limit of their own; 0: any."
    )
    max_body_bytes: int = Field(16 << 20, ge=1024, description="Largest JSON body.")
    max_upload_bytes: int = Field(64 << 20, ge=1024, description="Largest uploaded file of seeds.")
    max_clicks: int = Field(10_000, ge=1, description="Most clicks or impressions of one request.")
    max_list: int = Field(100_000, ge=1, description="Most seeds or excluded users of one JSON request.")
    max_page: int = Field(1_000, ge=1, description="Most entries of one page.")
    max_rank_items: int = Field(10_000, ge=1, description="Most items of one re-ranking.")
    threads: int = Field(
        16, ge=2, le=256, description="Requests worked on at once, beside questions and clicks, which have their own."
    )
    bundle_root: Path | None = Field(
        None, description="Bundles may be swapped to from below this folder only; default: the folder of the bundle."
    )

    bus_stream: str | None = Field(
        None, min_length=1, description="Redis stream to take clicks from, beside those over HTTP; unset: none."
    )
    bus_url: str | None = Field(None, description="Redis that holds that stream; unset: the store's.")
    bus_group: str = Field("kinfolk", min_length=1, description="Consumer group on it, one a deployment.")
    bus_name: str | None = Field(
        None, min_length=1, description="Name of this server in the group, unlike any other's; unset: the host's."
    )
    bus_batch: int = Field(1_000, ge=1, le=10_000, description="Most clicks taken from it at once.")
    bus_claim_after: float = Field(
        60.0, ge=0.1, le=86_400, allow_inf_nan=False, description="Clicks that a silent server holds so long are taken."
    )
    metrics_port: int | None = Field(
        None, ge=0, le=65535, description="Port on which `kinfolk refresh` gives /metrics and /healthz; unset: none."
    )

    refresh: bool = Field(True, description="Take part in electing the process that clusters.")
    refresh_every: float = Field(
        300.0, ge=0.1, le=86_400, allow_inf_nan=False, description="How often changed candidates are clustered anew."
    )
    create_on_click: bool = Field(True, description="A click on an item that is no candidate makes it one.")
    candidate_ttl: float | None = Field(
        None, ge=1, allow_inf_nan=False, description="Candidates made without an expiry live so long; unset: for ever."
    )
    min_seeds: int = Field(10, ge=1, description="An audience is refused with fewer known seeds.")
    max_seeds: int = Field(3_000_000, ge=1, description="Newest distinct users kept of a candidate.")
    remember: float = Field(
        3_600.0, ge=1, allow_inf_nan=False, description="How long a click is known, so that a second delivery is not."
    )
    follow_users: bool = Field(True, description="A user's own newest clicks move their embedding at once.")
    trail_length: int = Field(50, ge=1, le=1000, description="Own clicks of a user that are followed.")
    most_followed: int = Field(
        100_000, ge=0, description="Seeds who are clustered with their newest clicks; 0: all as in training."
    )
    live_kind: str | None = Field(
        None, min_length=1, description="Behaviour that a click is; unset: it counts in histories of all kinds, or one."
    )
    blend_n0: float = Field(
        20.0, ge=0, allow_inf_nan=False, description="In the feed n seeds have weight n / (n + blend_n0)."
    )
    trend: bool = Field(True, description="Feeds are ordered by what is clicked now, too, if the model learned that.")
    segment_field: str | None = Field(None, description="User field whose values are segments of popularity.")
    rank_weight: float = Field(
        1.0, allow_inf_nan=False, description="λ of final = pctr * (1 + λ * score), where a request brings none."
    )

    takeover_after: float = Field(
        30.0,
        ge=0.1,
        le=3600,
        allow_inf_nan=False,
        description="Another process takes over clustering and audience jobs of one that is silent for so long.",
    )

    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level that is logged.")
    log_format: Literal["json", "text"] = Field("json", description="One JSON object a line, or text for people.")
    stop_timeout: float = Field(
        30.0, ge=0, allow_inf_nan=False, description="How long requests may take to finish when the server stops."
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags and the environment; the TOML file is laid below them by `load`."""
        return init_settings, env_settings

    def to_toml(self) -> str:
        """What is in force, as a TOML file with a comment a setting; passwords in URLs are left out."""
        lines = []
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            shown = without_password(value) if name in _URLS and value is not None else value
            written = f"# {name} =" if value is None else f"{name} = {_toml(shown)}"
            lines += [f"# {field.description}", written]
        return "\n".join(lines) + "\n"


def load(flags: Mapping[str, object], config: Path | None = None) -> Settings:
    """Settings from flags (those that are None were not given), the environment, a TOML file, and defaults.

    Raises:
        OptionError: the file is absent or no TOML, a name is unknown, a value is none of its kind.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    below = _file(config) if config is not None else {}
    try:
        known = _in_environment()
        return Settings(**{**{n: v for n, v in below.items() if n not in known}, **given})
    except ValidationError as e:
        first = e.errors(include_url=False, include_input=False)[0]
        name = str(first["loc"][0]) if first["loc"] else "a setting"
        if first["type"] == "extra_forbidden":
            names = ", ".join(Settings.model_fields)
            raise OptionError(f"{config}: no setting is called {name!r}", f"use {names}") from e
        said = first["msg"][:1].lower() + first["msg"][1:]
        raise OptionError(
            f"{_origin(name, given, config)}: {said}", f"mend it; `--print-config` shows {name} and what is in force"
        ) from e
    except SettingsError as e:
        raise OptionError(f"a {PREFIX}* variable cannot be read ({e})", "mend or unset it") from e


def _in_environment() -> set[str]:
    import os

    present = {name.upper() for name in os.environ}
    return {name for name in Settings.model_fields if f"{PREFIX}{name.upper()}" in present}


def _file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as e:
        raise OptionError(f"{path}: no such file", "give the TOML file to --config, or leave it out") from e
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, IsADirectoryError) as e:
        raise OptionError(f"{path} is no TOML file ({e})", "write lines such as port = 8000") from e


def _origin(name: str, flags: Mapping[str, object], config: Path | None) -> str:
    if name in flags:
        return f"--{name.replace('_', '-')}"
    return f"{PREFIX}{name.upper()}" if name in _in_environment() else f"{config}: {name}"


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else json.dumps(str(value), ensure_ascii=False)
