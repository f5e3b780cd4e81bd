"""Becomes HAProxy, after it has made Serve's configuration fit for one machine. Run as a program by Serve.

Serve starts HAProxy as ``BINARY -f CONFIGURATION ...``. This program stands in for the binary:

- statistics and metrics, which Serve binds to every interface, are bound to loopback;
- a request is taken in whole, within 30 seconds, before a replica sees it: only then can it be sent to another
  replica when the first one dies, and a slow client holds no replica;
- HAProxy ends when the process that started it ends, so that a killed cluster leaves nothing behind.

Standard library only: it runs without site packages, in some 20 milliseconds.
"""

from __future__ import annotations

import ctypes
import os
import re
import signal
import sys
from itertools import pairwise

_WILDCARD = re.compile(r"^([ \t]*bind )\*?:(?=\d)", re.MULTILINE)
_DEFAULTS = re.compile(r"^([ \t]*)option abortonclose$", re.MULTILINE)
_PR_SET_PDEATHSIG = 1


def rewrite(text: str) -> str:
    """The configuration with loopback binds and whole requests.

    Example:
        >>> print(rewrite("defaults\\n    option abortonclose\\nlisten stats\\n  bind *:8404"))
        defaults
            option abortonclose
            option http-buffer-request
            timeout http-request 30s
        listen stats
          bind 127.0.0.1:8404
    """
    whole = r"\g<0>\n\1option http-buffer-request\n\1timeout http-request 30s"
    return _DEFAULTS.sub(whole, _WILDCARD.sub(r"\g<1>127.0.0.1:", text))


def main(binary: str, arguments: list[str]) -> None:
    """Rewrite the file that ``-f`` names, tie this process to its parent, and become `binary`."""
    parent = os.getppid()
    for flag, path in pairwise(arguments):
        if flag == "-f":
            with open(path, "r+", encoding="utf-8") as file:  # noqa: PTH123
                changed = rewrite(file.read())
                file.seek(0)
                file.write(changed)
                file.truncate()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() == parent:
        os.execv(binary, [binary, *arguments])


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
