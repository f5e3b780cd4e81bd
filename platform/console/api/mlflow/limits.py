"""MLflow's limits on what clients log (its `utils/validation.py`), and the checks."""

from __future__ import annotations

import posixpath
import re
from functools import lru_cache

from .errors import invalid_parameter
from .fields import invalid_value

BATCH = {"metrics": 1000, "params": 100, "tags": 100}
BATCH_TOTAL = 1000
KEY, PARAM_VALUE, TAG_VALUE = 250, 6000, 8000
EXPERIMENT_NAME, EXPERIMENT_TAG_VALUE, LOCATION = 500, 20_000, 2048
DATASET = {"name": 500, "digest": 36, "source": 65_535, "schema": 1_048_575, "profile": 16_777_215}
INPUT_TAG = {"key": 255, "value": 500}
LAST_MOMENT = 253_402_300_799_999  # milliseconds; the end of the year 9999
_NAME = re.compile(r"[/\w.\- :]*")
_RUN_ID = re.compile(r"[a-zA-Z0-9][\w\-]{0,255}")
_CHARACTERS = (
    "Names may only contain alphanumerics, underscores (_), dashes (-), periods (.), spaces ( ), colon(:) and "
    "slashes (/)."
)


@lru_cache(maxsize=10_000)
def check_key(name: str, path: str) -> str:
    """`name` when it may name a metric, parameter or tag.

    Raises:
        DataError: It has other characters, is too long, or would read as another path.
    """
    if not _NAME.fullmatch(name):
        raise invalid_value(path, name, _CHARACTERS)
    normal = posixpath.normpath(name)
    if normal != name or normal == "." or normal.startswith(("..", "/")):
        raise invalid_value(
            path,
            name,
            "Names may be treated as files in certain cases, and must not resolve to other names when treated as such. "
            f"This name would resolve to '{normal}'",
        )
    return check_length(path, name, KEY)


def check_length(what: str, value: str, most: int) -> str:
    """`value` when it is not too long.

    Raises:
        DataError: It is.
    """
    if len(value) > most:
        raise invalid_parameter(f"'{what}' exceeds the maximum length of {most} characters")
    return value


def check_run_id(run_id: str) -> str:
    """`run_id` when it may be one.

    Raises:
        DataError: It may not.
    """
    if not _RUN_ID.fullmatch(run_id):
        raise invalid_value("run_id", run_id, "a run id has letters, digits, _ and -")
    return run_id


def check_batch(counts: dict[str, int]) -> None:
    """Check the size of a batch.

    Raises:
        DataError: It holds too many of something.
    """
    for what, most in (*BATCH.items(), ("metrics, params, and tags", BATCH_TOTAL)):
        count = sum(counts.values()) if what not in counts else counts[what]
        if count > most:
            raise invalid_parameter(
                f"A batch logging request can contain at most {most} {what}. Got {count} {what}. "
                f"Please split up {what} across multiple requests and try again."
            )
