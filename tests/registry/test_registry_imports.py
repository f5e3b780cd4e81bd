"""The registry stays light, and its API is what it says."""

from __future__ import annotations

import json
import subprocess
import sys
import types

from raylake import registry

PROBE = """
import json, sys, time
start = time.process_time()
import raylake.registry
seconds = time.process_time() - start
print(json.dumps({"seconds": seconds, "modules": [name for name in sys.modules if "." not in name]}))
"""


def test_importing_loads_neither_ray_nor_torch_and_is_quick() -> None:
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    heavy = {"ray", "torch", "xgboost", "evidently", "pandas", "pyarrow", "numpy", "alembic", "psycopg", "fastapi"}
    assert heavy.isdisjoint(found["modules"])
    assert found["seconds"] < 3  # processor time; about 0.4 s on an idle machine


def test_using_a_registry_that_is_up_to_date_loads_no_alembic(tmp_path: object) -> None:
    code = f"""
import sys
from raylake import registry
from raylake.core import Workspace
ws = Workspace.open({str(tmp_path)!r})
registry.tables(ws)
print("alembic" in sys.modules)
"""
    answers = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
        for _ in range(2)
    ]
    assert answers == ["True", "False"]


def test_all_is_sorted_and_complete() -> None:
    visible = {
        name
        for name, value in vars(registry).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }
    assert set(registry.__all__) == visible
    assert len(registry.__all__) == len(set(registry.__all__))


def test_every_public_function_has_an_example() -> None:
    functions = [getattr(registry, name) for name in registry.__all__]
    missing = [
        f.__name__ for f in functions if isinstance(f, types.FunctionType) and "Example" not in (f.__doc__ or "")
    ]
    assert missing == []
