"""The program that Serve starts as HAProxy."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from raylake.serve import haproxy_launcher
from raylake.serve.haproxy_launcher import rewrite


def test_serves_own_template_ends_up_on_loopback_only() -> None:
    from ray.serve._private import haproxy_templates

    template = "\n".join(text for text in vars(haproxy_templates).values() if isinstance(text, str))
    filled = template.replace("{{ config.metrics_port }}", "9101").replace("{{ config.stats_port }}", "8404")
    assert "bind *:8404" in filled and "bind :9101" in filled
    changed = rewrite(filled)
    binds = [line.split()[1] for line in changed.splitlines() if line.strip().startswith("bind ")]
    assert {"127.0.0.1:8404", "127.0.0.1:9101"} < set(binds)
    assert not any(bind.startswith((":", "*")) for bind in binds)
    assert "option http-buffer-request" in changed and rewrite("nothing") == "nothing"


def test_haproxy_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    config = tmp_path / "c.cfg"
    config.write_text("listen stats\n  bind *:8404\n")
    launcher = haproxy_launcher.__file__
    pid_file = tmp_path / "pid"
    parent = (
        "import subprocess, sys, time\n"
        f"p = subprocess.Popen([sys.executable, '-IS', {launcher!r}, {sys.executable!r}, '-c', "
        f"'import time; time.sleep(60)', '-f', {str(config)!r}])\n"
        f"time.sleep(1.5); open({str(pid_file)!r}, 'w').write(str(p.pid)); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", parent])
    deadline = time.monotonic() + 60
    while not (pid_file.exists() and pid_file.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    child = int(pid_file.read_text())
    assert "bind 127.0.0.1:8404" in config.read_text()
    assert Path(f"/proc/{child}").exists()
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    while alive(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(child)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
