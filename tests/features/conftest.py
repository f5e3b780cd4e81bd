"""Makes `feature_cases` importable by name, as a module that serving would import."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
