"""From unstructured to structured: functions from table to table, for `raylake.data.Source.transform` and notebooks."""

from .documents import documents
from .images import images
from .logs import LOG_PATTERNS, split_lines
from .nested import explode, flatten

__all__ = ["LOG_PATTERNS", "documents", "explode", "flatten", "images", "split_lines"]
