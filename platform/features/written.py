"""What was computed before and is still there: views and training sets are written once per question."""

from __future__ import annotations

from pyarrow import fs

from ..core import NotFound, Ref, Workspace, urls
from ..data.commits import find_committed
from ..data.delta_log import require
from ..data.live_files import live_files


def transaction(ws: Workspace, table: Ref, question: str) -> tuple[tuple[str, int], bool]:
    """The application transaction under which the answer to a question is written, and whether it is there already.

    An answer whose files a clean-up has removed is written anew, under the next number.

    Args:
        ws: Workspace.
        table: Where the answer goes.
        question: Text that is the same for the same question about the same pinned inputs.
    """
    number = 1
    while (done := find_committed(ws.table_url(table), (question, number))) is not None:
        if _readable(ws, table.at(done.version)):
            return (question, number), True
        number += 1
    return (question, number), False


def _readable(ws: Workspace, version: Ref) -> bool:
    try:
        files = live_files(require(ws, version))
    except NotFound:
        return False
    store, folder = urls.filesystem(ws.table_url(version))
    found = store.get_file_info([f"{folder}/{file.name}" for file in files]) if files else []
    return all(info.type == fs.FileType.File for info in found)
