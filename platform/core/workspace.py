"""The workspace: where everything lives. A frozen value that is passed explicitly."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from . import urls
from .errors import ConfigError, StorageError
from .outbound import Allowed
from .refs import Ref, check_name
from .settings import CONFIG_FILE, read_settings


@dataclass(frozen=True, slots=True)
class Workspace:
    """Where tables, artifacts, registry and online store live, and which Ray cluster computes.

    A frozen value: it holds no connection, may be pickled to any worker, compared and hashed.

    Attributes:
        root: Storage root, an absolute local path or ``s3://``, ``gs://``, ``abfs://`` URL.
        registry_url: SQLAlchemy URL of the registry (``sqlite:///...`` or ``postgresql+psycopg://...``).
        online_url: Online store, ``lmdb:PATH`` or ``redis://...``.
        ray_address: ``auto``, ``local`` or an address; see `raylake.core.ray_session`.
        name: Name of the workspace; also its Ray namespace.
        http_port: Port of the endpoints on loopback; 0 takes a free one.
        outbound_allow: Hosts and networks, separated by commas, that webhooks may reach although they are not public.
    """

    root: str
    registry_url: str
    online_url: str
    ray_address: str = "auto"
    name: str = "default"
    http_port: int = 8000
    outbound_allow: str = ""

    @classmethod
    def open(cls, root: str | Path | None = None, *, create: bool = True, **settings: str | int) -> Workspace:
        """Open a workspace, creating its folder when it is on the local disk.

        Args:
            root: Storage root. Without it, ``raylake.toml`` in the current folder, then ``RAYLAKE_ROOT``,
                then ``./.raylake`` decide. A ``raylake.toml`` inside a local root is read too.
            create: Whether to make the folder of a local root that is not there; otherwise nothing is made.
            settings: Any other field of this class, winning over environment and file.

        Raises:
            ConfigError: A setting is unknown or has a wrong value.
            StorageError: The folder cannot be created or written.

        Example:
            >>> import tempfile
            >>> ws = Workspace.open(tempfile.mkdtemp(), name="docs")
            >>> ws.name, ws.registry_url.startswith("sqlite:///")
            ('docs', True)
        """
        place = Path.cwd()
        given = dict(settings)
        if root is not None:
            given["root"] = str(root)
            local = Path(str(root)).expanduser()
            if "://" not in str(root) and (local / CONFIG_FILE).is_file():
                place = local
        found = read_settings(place, **given)
        base = urls.normalise(found.root)
        check_name(found.name, "workspace name")
        Allowed.parse(found.outbound_allow)
        if create and urls.is_local(base):
            _make_folder(Path(base))
        return cls(
            root=base,
            registry_url=_registry_url(base, found.registry_url),
            online_url=_online_url(base, found.online_url),
            ray_address=found.ray_address,
            name=found.name,
            http_port=found.http_port,
            outbound_allow=found.outbound_allow,
        )

    def table_url(self, ref: Ref) -> str:
        """Folder of a table: ``<root>/tables/<namespace>/<name>``."""
        return urls.join(self.root, "tables", ref.namespace, ref.name)

    @property
    def artifacts_url(self) -> str:
        """Root of the content-addressed files."""
        return urls.join(self.root, "artifacts")

    @property
    def runs_url(self) -> str:
        """Where Ray Train and Ray Tune keep checkpoints while they run."""
        return urls.join(self.root, "runs")


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise StorageError(f"workspace {path} is a file: name a folder") from error
    except OSError as error:
        raise StorageError(f"workspace {path} cannot be created: {error.strerror}. Name a writable folder") from error


def _registry_url(root: str, url: str) -> str:
    if url:
        return url.replace("postgresql://", "postgresql+psycopg://", 1)
    if urls.is_local(root):
        return f"sqlite:///{root}/registry.db"
    raise ConfigError(
        f"root {root!r} is not on the local disk, so the registry needs a server: "
        "set registry_url to postgresql://user@host/db"
    )


def _online_url(root: str, url: str) -> str:
    if url:
        return url
    if urls.is_local(root):
        return f"lmdb:{root}/online"
    raise ConfigError(
        f"root {root!r} is not on the local disk, so the online store must be named: "
        "set online_url to redis://host:6379/0 or lmdb:/local/path"
    )
