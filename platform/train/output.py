"""What a training loop prints and logs, kept with its run."""

from __future__ import annotations

import io
import logging
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

MOST_CHARACTERS = 1_000_000


class Output(io.TextIOBase):
    """The last million characters that were written; passes everything on."""

    def __init__(self) -> None:
        super().__init__()
        self._pieces: deque[str] = deque()
        self._size = self._lost = 0

    def write(self, text: str) -> int:
        """Keep a piece."""
        self._pieces.append(text)
        self._size += len(text)
        while self._size > MOST_CHARACTERS and len(self._pieces) > 1:
            gone = len(self._pieces.popleft())
            self._size, self._lost = self._size - gone, self._lost + gone
        return len(text)

    @property
    def text(self) -> str:
        """What is kept."""
        head = f"[{self._lost} characters before this were dropped]\n" if self._lost else ""
        return head + "".join(self._pieces)


class _Tee(io.TextIOBase):
    def __init__(self, stream: TextIO, copy: Output) -> None:
        super().__init__()
        self._stream, self._copy = stream, copy

    def write(self, text: str) -> int:
        self._copy.write(text)
        return self._stream.write(text)

    def flush(self) -> None:
        self._stream.flush()

    def fileno(self) -> int:
        return self._stream.fileno()


@contextmanager
def captured() -> Iterator[Output]:
    """Keep what the block prints to stdout and stderr, and what it logs from INFO on.

    Prints of other threads of this process are kept too; those of C code and of child processes are not.

    Example:
        >>> with captured() as output:
        ...     print("epoch 1")
        epoch 1
        >>> output.text
        'epoch 1\\n'
    """
    output = Output()
    handler = logging.StreamHandler(output)
    handler.setLevel(logging.INFO)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    before = sys.stdout, sys.stderr
    logging.getLogger().addHandler(handler)
    sys.stdout, sys.stderr = _Tee(before[0], output), _Tee(before[1], output)
    try:
        yield output
    finally:
        sys.stdout, sys.stderr = before
        logging.getLogger().removeHandler(handler)
