"""Every code block of README and docs runs; the notebook runs; every link to a file resolves."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "cluster" / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
# Blocks without a language are pictures. The blocks of a page in bash are run by tests of their own (named here).
RUN_ELSEWHERE = {
    ("cluster/README.md", "bash"): "tests/test_ray_jobs.py",
    ("docs/server.md", "bash"): "tests/console/test_console_docs.py",
    ("docs/sources.md", "python"): "tests/data/test_data_docs.py",
    ("docs/sources.md", "yaml"): "tests/data/test_data_docs.py",
    ("docs/sources.md", "bash"): "tests/data/test_data_docs.py",
    ("docs/pipelines.md", "python"): "tests/pipelines/test_pipelines_docs.py",
    ("docs/pipelines.md", "yaml"): "tests/pipelines/test_pipelines_docs.py",
    ("docs/tracking.md", "python"): "tests/console/test_console_tracking_page.py",
    ("docs/tables.md", "python"): "tests/data/test_data_tables_page.py",
}


# Notebook to what must be read in it after a run.
NOTEBOOKS = {
    "01_first_flight.ipynb": ("flight-delay@1", "AUC"),
    "02_a_file_of_your_own.ipynb": (
        *("is it Csv(..., delimiter=", "sales@1 2 rows; 4 in quarantine", "31.02.2026", "['queued']", "file:"),
        "again; nothing was read twice",
    ),
}


def _blocks(page: Path, language: str) -> list[str]:
    return [code for found, code in FENCE.findall(page.read_text(encoding="utf-8")) if found == language]


def test_every_block_has_a_language_that_a_test_runs() -> None:
    for page in PAGES:
        name = str(page.relative_to(ROOT))
        for language, code in FENCE.findall(page.read_text(encoding="utf-8")):
            known = language in ("", "python", "toml") or (ROOT / RUN_ELSEWHERE[(name, language)]).is_file()
            assert known, f"{name}: nothing runs the {language} block\n{code}"


def _runs_here(page: Path) -> bool:
    name = str(page.relative_to(ROOT))
    return page.name != "README.md" and bool(_blocks(page, "python")) and (name, "python") not in RUN_ELSEWHERE


@pytest.mark.parametrize("page", [page for page in PAGES if _runs_here(page)], ids=lambda page: page.name)
def test_the_python_blocks_of_a_page_run_one_after_another(
    page: Path, ray_cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a reader would paste them, in an empty folder (with the README's raw data) and one process."""
    _write_clinic(tmp_path / "raw")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("RAYLAKE_HTTP_PORT", "0")
    names: dict[str, object] = {"__name__": "__main__"}
    for code in _blocks(page, "python"):
        exec(compile(code, page.name, "exec"), names)


def _write_clinic(folder: Path) -> None:
    """The data that the README's example reads: visits of patients, missed more often with a long lead time."""
    random = np.random.default_rng(7)
    count, patients = 4000, 200
    patient = random.integers(0, patients, count)
    lead = random.integers(0, 60, count)
    age = random.integers(18, 90, patients)
    chance = 1 / (1 + np.exp(-(lead - 30) / 8 + (age[patient] - 50) / 15))
    start = np.datetime64("2024-01-01T08:00:00")
    visits = pa.table(
        {
            "visit_id": np.arange(count),
            "patient": np.char.add("p", patient.astype(str)),
            "starts_at": [f"{moment}Z" for moment in start + np.arange(count) * np.timedelta64(30, "m")],
            "lead_days": lead,
            "missed": (random.random(count) < chance).astype(int),
        }
    )
    people = pa.table(
        {
            "patient": [f"p{index}" for index in range(patients)],
            "known_at": ["2023-12-01T00:00:00Z"] * patients,
            "age": age,
            "distance": random.integers(1, 40, patients),
        }
    )
    folder.mkdir()
    pyarrow.csv.write_csv(visits, folder / "visits.csv")
    pyarrow.csv.write_csv(people, folder / "patients.csv")


@pytest.mark.slow
def test_the_readme_example_runs(
    ray_cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (code,) = _blocks(ROOT / "README.md", "python")
    assert len(code.strip().splitlines()) <= 28
    _write_clinic(tmp_path / "raw")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAYLAKE_HTTP_PORT", "0")
    names: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), names)
    out = capsys.readouterr().out
    assert "visits@1" in out
    assert "no-show@1" in out
    assert "table:main.visits@1" in out
    from raylake import serve

    serve.shutdown(names["ws"])  # type: ignore[arg-type]


def test_the_readme_configuration_is_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from raylake.core import Workspace

    (text,) = _blocks(ROOT / "README.md", "toml")
    (tmp_path / "raylake.toml").write_text(text + 'online_url = "redis://cache.example.org/0"\n', encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    ws = Workspace.open()
    assert ws.root == tomllib.loads(text)["root"]
    assert ws.registry_url.startswith("postgresql+psycopg://")


def test_relative_links_and_named_files_exist() -> None:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)#:]+)\)", text):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
        for path in re.findall(r"`((?:platform|tests|docs|cluster|notebooks)/[\w/.-]+\.\w+)`", text):
            assert (ROOT / path).exists(), f"{page.name} names {path}"


def test_make_help_names_what_the_readme_names() -> None:
    told = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    named = set(re.findall(r"`?make (\w+)", (ROOT / "README.md").read_text(encoding="utf-8"))) - {"sure"}
    assert named <= {line.split()[0] for line in told.splitlines()} | {"PYTHON"}


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("name", "told"), NOTEBOOKS.items())
def test_a_notebook_runs(name: str, told: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAYLAKE_RAY_ADDRESS", "local")
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(ROOT / "notebooks" / name, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "store the notebook without outputs"
    client = NotebookClient(
        notebook, timeout=540, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    text = json.dumps(notebook.cells)
    for word in told:
        assert word in text, f"{name} does not tell {word!r}"


def test_every_notebook_is_run() -> None:
    assert {path.name for path in (ROOT / "notebooks").glob("*.ipynb")} == set(NOTEBOOKS)


def test_commands_of_the_readme_exist() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for command in sorted(set(re.findall(r"`(raylake [a-z]+)", text))):
        words = [*shlex.split(command)[1:], "--help"]
        done = subprocess.run(
            [sys.executable, "-m", "raylake.cli.app", *words], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}: {done.stderr}"
