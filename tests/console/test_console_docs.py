"""The example of docs/server.md, run in a shell as a reader would."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "server.md"


def test_the_example_of_the_page_runs(tmp_path: Path) -> None:
    (block,) = re.findall(r"^```bash\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    script = "set -eu\nset -m\ntrap 'kill %1 2>/dev/null || true' EXIT\n" + block.replace("5000", str(port))
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    # A width at which tables do not wrap.
    environment = {**os.environ, "PATH": path, "COLUMNS": "200"}
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert '"user":"ann"' in done.stdout and '"user":"bob"' in done.stdout
    assert "\n401\n" in done.stdout.replace("}401", "}\n401")
    assert done.stdout.count("token.create") == 2 and "127.0.0.1" in done.stdout


def test_what_the_pages_name_exists() -> None:
    root = PAGE.parents[1]
    for page in (PAGE, PAGE.with_name("security.md")):
        text = page.read_text(encoding="utf-8")
        for name in re.findall(r"`(test_console_\w+\.py)`", text):
            assert (root / "tests" / "console" / name).is_file(), name
        for option in re.findall(r"`(--[a-z-]+)", text):
            told = "".join((root / "platform" / "cli" / f"{each}.py").read_text() for each in ("server", "token"))
            assert option.lstrip("-").replace("-", "_") in told or f'"{option}"' in told or option in told, option
