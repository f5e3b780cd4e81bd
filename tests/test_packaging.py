"""The layout: `platform/` on disk is `raylake` on import, and the standard library's `platform` stays itself."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
STDLIB = "import platform; assert platform.system(), platform; print(platform.__file__)"


def _stdlib_file(path: str) -> bool:
    return Path(path).name == "platform.py" and ROOT not in Path(path).parents


@pytest.mark.parametrize("options", [["-c", STDLIB], ["-P", "-c", STDLIB]])
def test_import_platform_is_the_standard_library_in_the_repository_folder(options: list[str]) -> None:
    found = subprocess.run([sys.executable, *options], cwd=ROOT, capture_output=True, text=True, check=True)
    assert _stdlib_file(found.stdout.strip())


def test_import_platform_with_the_repository_first_on_the_path() -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    found = subprocess.run([sys.executable, "-c", STDLIB], env=env, capture_output=True, text=True, check=True)
    assert _stdlib_file(found.stdout.strip())


def test_platform_folder_is_no_package() -> None:
    assert not (ROOT / "platform" / "__init__.py").exists()


@pytest.mark.parametrize("module", ["raylake.core", "raylake.registry"])
def test_light_imports_load_neither_ray_nor_torch(module: str) -> None:
    code = f"import {module}, sys; print([m for m in ('ray', 'torch', 'xgboost', 'pandas') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def _declared() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lists = [project["dependencies"], *project["optional-dependencies"].values()]
    return [Requirement(text) for wanted in lists for text in wanted if not text.startswith("raylake[")]


@pytest.mark.parametrize("wanted", _declared(), ids=lambda wanted: wanted.name)
def test_declared_bounds_hold_for_what_the_tests_run_with(wanted: Requirement) -> None:
    """Or `pip install raylake` asks for versions that nobody tried, perhaps for one that cannot be had."""
    assert wanted.specifier.contains(version(wanted.name), prereleases=True)


def test_wheel_holds_raylake_and_nothing_named_platform(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert "raylake/core/__init__.py" in names
    assert not [name for name in names if name.startswith(("platform", "src", "tests"))]
    assert any(name.startswith("raylake/registry/migrations/versions/") for name in names)


def test_wheel_imports_from_the_archive_alone(wheel: Path, tmp_path: Path) -> None:
    code = "import raylake.core, raylake.registry; print(raylake.core.__file__)"
    unpacked = tmp_path / "unpacked"
    zipfile.ZipFile(wheel).extractall(unpacked)
    # -S leaves the editable install out; the other packages come from site-packages by name
    site = next(p for p in sys.path if p.endswith("site-packages"))
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(unpacked), site])}
    found = subprocess.run([sys.executable, "-S", "-c", code], env=env, capture_output=True, text=True, check=True)
    assert found.stdout.strip().startswith(str(unpacked))


def test_a_ray_worker_in_the_repository_folder_gets_the_standard_platform(ray_cluster: None) -> None:
    import ray

    def probe() -> str:
        import platform

        return str(platform.__file__)

    worker = ray.remote(probe).options(runtime_env={"env_vars": {"PYTHONPATH": str(ROOT)}})
    assert _stdlib_file(ray.get(worker.remote()))
