"""What every model flavour must do; a test subclasses `FlavourContract` for each."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from raylake import data, registry, train
from raylake.core import ArtifactCorrupt, ConfigError, SchemaMismatch, Workspace
from raylake.train.flavours import FLAVOURS, flavour_of


def scores_of(folder: Path, rows: pa.Table) -> NDArray[np.float64]:
    """What the model of a folder says; called in another process."""
    return train.load_model(folder).predict(rows)


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[ProcessPoolExecutor]:
    """Another process, started afresh: it shares nothing but files."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool


@dataclass(frozen=True)
class Example:
    """A fitted model and what it must answer.

    Attributes:
        model: The fitted model.
        rows: Input rows.
        scores: What the framework itself says, (n,) or (n, classes).
        task: ``binary``, ``multiclass`` or ``regression``.
        options: Options of `train.store_model`.
        classes: Its classes, if it does not know them.
        tolerance: Relative; 0 means bit by bit.
    """

    model: Any
    rows: pa.Table
    scores: Any
    task: str
    options: Mapping[str, Any] = field(default_factory=dict)
    classes: tuple[int | str, ...] = ()
    tolerance: float = 1e-6


class FlavourContract:
    """Subclasses give a fixture `example` and say which flavour it is."""

    flavour: str

    def stored(self, ws: Workspace, example: Example) -> str:
        """The example's digest."""
        return train.store_model(
            ws, example.model, example.rows, task=example.task, options=example.options, classes=example.classes
        )

    def fetched(self, ws: Workspace, example: Example, tmp_path: Path) -> Path:
        """The example's folder."""
        return registry.fetch_folder(ws, self.stored(ws, example), tmp_path / "fetched")

    def test_one_flavour_claims_it(self, example: Example) -> None:
        """The model's flavour is found, and it is this one."""
        assert flavour_of(example.model).name == self.flavour
        assert self.flavour in FLAVOURS

    def test_the_stored_model_scores_as_the_framework(self, ws: Workspace, example: Example) -> None:
        """Save, load, predict: the same, all together and one by one."""
        model = train.open_model(ws, self.stored(ws, example))
        found = model.predict(example.rows)
        np.testing.assert_allclose(found, example.scores, rtol=example.tolerance, atol=1e-7)
        assert found.dtype == np.float64 and model.info["flavour"] == self.flavour
        alone = [model.predict(example.rows.slice(index, 1))[0] for index in range(5)]
        np.testing.assert_allclose(alone, found[:5], rtol=1e-5, atol=1e-7)
        assert model.predict(example.rows.slice(0, 0)).shape == (0, *found.shape[1:])

    def test_it_round_trips_through_registry_and_batch_prediction(self, ws: Workspace, example: Example) -> None:
        """Registered under a name and alias, it scores a table of the workspace."""
        version = registry.register_artifact(ws, self.stored(ws, example), name="model", alias="champion")
        table = data.write(ws, "rows", example.rows)
        found = train.predict_table(ws, "model@champion", str(table))
        np.testing.assert_allclose(found, example.scores, rtol=example.tolerance, atol=1e-7)
        assert train.open_model(ws, version).reference.num_rows == example.rows.num_rows

    def test_another_process_scores_the_same_bits(
        self, ws: Workspace, example: Example, tmp_path: Path, elsewhere: ProcessPoolExecutor
    ) -> None:
        """A process that only has the folder."""
        folder = self.fetched(ws, example, tmp_path)
        found = elsewhere.submit(scores_of, folder, example.rows).result(timeout=120)
        np.testing.assert_array_equal(found, train.load_model(folder).predict(example.rows))

    def test_the_signature_is_enforced(self, ws: Workspace, example: Example) -> None:
        """Columns by name in any order, others ignored; missing and unfit ones refused."""
        model = train.open_model(ws, self.stored(ws, example))
        jumbled = example.rows.select(sorted(example.rows.column_names, reverse=True))
        jumbled = jumbled.append_column("stranger", pa.array([None] * jumbled.num_rows, pa.string()))
        np.testing.assert_array_equal(model.predict(jumbled), model.predict(example.rows))
        first = example.rows.column_names[0]
        with pytest.raises(SchemaMismatch, match=f"'{first}' missing"):
            model.predict(example.rows.drop_columns([first]))
        number = next(each.name for each in example.rows.schema if not pa.types.is_string(each.type))
        at = example.rows.column_names.index(number)
        with pytest.raises(SchemaMismatch, match=f"'{number}' is string"):
            model.predict(example.rows.set_column(at, number, pa.array(["far"] * example.rows.num_rows)))

    def test_changed_cut_and_missing_files_are_refused(self, ws: Workspace, example: Example, tmp_path: Path) -> None:
        """By their hash, before anything is read."""
        folder = self.fetched(ws, example, tmp_path)
        path = folder / self.file(folder)
        content = path.read_bytes()
        path.chmod(0o600)
        for damaged in (content[:-1] + bytes([content[-1] ^ 1]), content[: len(content) // 2], b""):
            path.write_bytes(damaged)
            with pytest.raises(ArtifactCorrupt, match=r"has hash"):
                train.load_model(folder)
        path.unlink()
        with pytest.raises(ArtifactCorrupt, match="is missing"):
            train.load_model(folder)

    def test_a_forged_file_with_the_right_hash_is_refused(
        self, ws: Workspace, example: Example, tmp_path: Path
    ) -> None:
        """Rubbish, pickles and half archives, with a `model.json` that vouches for them."""
        folder = self.fetched(ws, example, tmp_path)
        for content in (b"", b"rubbish", b"\x80\x04\x95." * 40, b"PK\x03\x04" + bytes(40)):
            forge(folder, self.file(folder), content)
            with pytest.raises((ArtifactCorrupt, ConfigError)):
                train.load_model(folder)

    @staticmethod
    def file(folder: Path) -> str:
        """Name of the model's file."""
        return str(json.loads((folder / "model.json").read_text())["facts"]["file"])


def forge(folder: Path, name: str, content: bytes, **facts: Any) -> None:
    """Replace a file of a model folder and vouch for it in `model.json`; `facts` replace the flavour's."""
    (folder / name).chmod(0o600)
    (folder / name).write_bytes(content)
    (folder / "model.json").chmod(0o600)
    info = json.loads((folder / "model.json").read_text())
    info["files"][name] = {"sha256": sha256(content).hexdigest(), "size": len(content)}
    info["facts"] |= facts
    (folder / "model.json").write_text(json.dumps(info))
