"""Every error that raylake raises on purpose.

The tree::

    RaylakeError
    ├── ConfigError              settings or a workspace that cannot be used
    ├── InvalidName              a name or reference that breaks the naming rule
    ├── NotFound                 an unknown table, version, model, alias, run, view, ...
    ├── Conflict                 somebody else changed or holds the same thing
    │   ├── Deleted              a deleted run or experiment that would have to be restored first
    │   └── WorkspaceBusy        another process holds the workspace's lock
    ├── AccessDenied             a caller whose role or token's scopes do not allow what was asked
    │   └── NotAuthenticated     no token, or one that is unknown, expired or revoked
    ├── Overloaded               more work waits than may wait; send again later
    ├── StorageError             a disk or object store that is full, read-only or unreachable
    ├── DataError                data that cannot be accepted as it is
    │   ├── SourceError          a source that cannot be read (missing file, wrong format)
    │   ├── SchemaMismatch       wrong columns or types
    │   ├── ExpectationFailed    an expectation declared with on_fail="fail" did not hold
    │   └── InvalidRequest       a prediction request that breaks the model's signature
    ├── ArtifactCorrupt          a stored file whose hash differs from the recorded one
    ├── ComputeUnavailable       resources that the cluster does not have
    ├── TrainingFailed           a run or study that ended in an error
    ├── PipelineError            a pipeline that cannot be defined, or whose run did not finish
    │   ├── PipelineInvalid      a wrong definition: a cycle, a missing input, a wrong type, an unknown step
    │   └── PipelineFailed       a run that ended as failed or cancelled
    └── DeploymentFailed         an endpoint that did not become healthy

A message names the wrong value, what was expected, and what to do next. Errors of deltalake, pyarrow, Ray,
SQLAlchemy, ... are translated where raylake calls them, once per library.
"""

from __future__ import annotations


class RaylakeError(Exception):
    """Base class: catch it to catch everything that raylake raises on purpose."""


class ConfigError(RaylakeError, ValueError):
    """A setting or workspace that cannot be used."""


class InvalidName(RaylakeError, ValueError):
    """A name or reference that breaks the naming rule."""


class NotFound(RaylakeError, LookupError):
    """Something that was asked for by name, version, alias or id does not exist."""


class Conflict(RaylakeError):
    """Somebody else changed, created or holds the same thing."""


class Deleted(Conflict):
    """A deleted run or experiment that would have to be restored before it may be changed."""


class WorkspaceBusy(Conflict):
    """Another process holds the lock of this workspace."""


class AccessDenied(RaylakeError):
    """A caller whose role or token's scopes do not allow what was asked."""


class NotAuthenticated(AccessDenied):
    """No token, or one that is unknown, expired or revoked."""


class Overloaded(RaylakeError):
    """More work waits than may wait: send again later.

    Attributes:
        seconds: When it is worth a try.
    """

    def __init__(self, message: str, seconds: int = 1) -> None:
        super().__init__(message)
        self.seconds = seconds

    def __reduce__(self) -> tuple[object, ...]:
        return (Overloaded, (str(self), self.seconds))


class StorageError(RaylakeError, OSError):
    """A disk or object store that is full, read-only or unreachable."""


class DataError(RaylakeError, ValueError):
    """Data that cannot be accepted as it is."""


class SourceError(DataError):
    """A source that cannot be read: a missing file, a wrong format."""


class SchemaMismatch(DataError):
    """Columns or types differ from what was declared or stored."""


class ExpectationFailed(DataError):
    """An expectation declared with ``on_fail="fail"`` did not hold."""


class InvalidRequest(DataError):
    """A prediction request that breaks the model's signature.

    Attributes:
        field: Name of the offending field, or ``""`` when the request as a whole is wrong.
        row: Zero-based index of the offending row, or ``None``.
    """

    def __init__(self, message: str, *, field: str = "", row: int | None = None) -> None:
        super().__init__(message)
        self.field = field
        self.row = row

    def __reduce__(self) -> tuple[object, ...]:
        return (_invalid_request, (str(self), self.field, self.row))


def _invalid_request(message: str, field: str, row: int | None) -> InvalidRequest:
    return InvalidRequest(message, field=field, row=row)


class ArtifactCorrupt(RaylakeError):
    """A stored file is missing, or its hash differs from the recorded one."""


class ComputeUnavailable(RaylakeError):
    """More CPUs, GPUs or memory were asked for than the cluster has."""


class TrainingFailed(RaylakeError):
    """A run or a study ended in an error."""


class DeploymentFailed(RaylakeError):
    """An endpoint did not become healthy."""


class PipelineError(RaylakeError):
    """A pipeline that cannot be defined, or whose run did not finish."""


class PipelineInvalid(PipelineError, ValueError):
    """A wrong definition: a cycle, a missing input, a wrong type between steps, an unknown step."""


class PipelineFailed(PipelineError):
    """A run ended as failed or cancelled.

    Attributes:
        run_id: The run, to be shown or resumed.
    """

    def __init__(self, message: str, run_id: str = "") -> None:
        super().__init__(message)
        self.run_id = run_id

    def __reduce__(self) -> tuple[object, ...]:
        return (PipelineFailed, (str(self), self.run_id))
