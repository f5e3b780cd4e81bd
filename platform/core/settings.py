"""Settings: the one place that reads `raylake.toml` and the `RAYLAKE_*` environment variables."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from .errors import ConfigError

CONFIG_FILE = "raylake.toml"
DEFAULT_ROOT = ".raylake"


class Settings(BaseSettings):
    """What can be configured. Arguments win over environment variables, those over the file.

    Attributes:
        root: Storage root: a local path, ``s3://``, ``gs://`` or ``abfs://``.
        registry_url: SQLAlchemy URL; empty for a SQLite file below a local root.
        online_url: ``lmdb:PATH`` or ``redis://...``; empty for LMDB below a local root.
        ray_address: ``auto`` (join a running cluster, else start a local one), ``local`` (always start one),
            or a cluster's address.
        name: The workspace's name; also the Ray namespace.
        http_port: Port of the endpoints on loopback; 0 takes a free one.
        outbound_allow: Hosts and networks, separated by commas, that webhooks may reach although they are not public.
    """

    model_config = SettingsConfigDict(env_prefix="RAYLAKE_", extra="forbid", frozen=True)

    root: str = DEFAULT_ROOT
    registry_url: str = ""
    online_url: str = ""
    ray_address: str = "auto"
    name: str = "default"
    http_port: int = 8000
    outbound_allow: str = ""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order of precedence: arguments, environment, file (whose place is the `toml_file` argument)."""
        return (init_settings, env_settings, TomlConfigSettingsSource(settings_cls))


def read_settings(directory: Path, **given: str | int) -> Settings:
    """Read the settings that hold for `directory`.

    Args:
        directory: Where ``raylake.toml`` is looked for.
        given: Values that win over environment and file.

    Raises:
        ConfigError: A value has the wrong type, a key is unknown, or the file is not TOML.
    """
    file = directory / CONFIG_FILE

    class Located(Settings):
        model_config = SettingsConfigDict(toml_file=file)

    try:
        return Located.model_validate(Located(**given).model_dump())  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        known = ", ".join(Settings.model_fields)
        raise ConfigError(
            f"setting {key!r} = {first.get('input')!r} is not valid ({first['msg']}); known settings: {known}. "
            f"Look in {file} and at the RAYLAKE_* environment variables"
        ) from error
    except ValueError as error:
        raise ConfigError(f"{file} cannot be read: {error}. Correct the TOML, or remove the file") from error
