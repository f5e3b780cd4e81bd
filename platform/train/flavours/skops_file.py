"""Reading and writing estimators with skops: no code of the file is run, and types are those that were reviewed."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

from ...core import ArtifactCorrupt, ConfigError
from .protocol import first_line
from .tree_checks import check_trees

# Types that skops does not trust by itself, each looked at: plain holders of numbers without code that runs while they
# are loaded, and trees, whose node numbers `check_trees` verifies. Not here, because their insides are indexed without
# checks that we could make: KDTree and BallTree.
REVIEWED = (
    "sklearn._loss.loss.HalfTweedieLoss",
    "sklearn._loss.loss.HalfTweedieLossIdentity",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.calibration._TemperatureScaling",
    "sklearn.compose._column_transformer._RemainderColsList",
    "sklearn.compose._column_transformer.make_column_selector",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.gaussian_process._gpc._BinaryGaussianProcessClassifierLaplace",
    "sklearn.gaussian_process.kernels.ConstantKernel",
    "sklearn.gaussian_process.kernels.Matern",
    "sklearn.gaussian_process.kernels.Product",
    "sklearn.gaussian_process.kernels.RBF",
    "sklearn.gaussian_process.kernels.RationalQuadratic",
    "sklearn.gaussian_process.kernels.Sum",
    "sklearn.gaussian_process.kernels.WhiteKernel",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    "sklearn.tree._tree.Tree",
)
_LARGEST_UNPACKED = 4 << 30  # bytes
_MOST_ENTRIES = 100_000


def dump_skops(model: Any) -> tuple[bytes, list[str]]:
    """The file's content, and the types in it that are neither skops' nor ours to trust."""
    import skops.io
    from skops.io.exceptions import UnsupportedTypeException

    try:
        content = canonical(bytes(skops.io.dumps(model)))
    except (UnsupportedTypeException, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{type(model).__name__} cannot be stored without a pickle: {first_line(error)}. Use estimators of "
            "scikit-learn, or export the model to ONNX"
        ) from error
    return content, sorted(set(skops.io.get_untrusted_types(data=content)) - set(REVIEWED))


def canonical(content: bytes) -> bytes:
    """A skops file without what differs from process to process: the same model gives the same bytes.

    skops names objects by their address in memory, and an archive holds the time; here objects are counted.
    """
    names: dict[str, str] = {}

    def counted(found: Any) -> Any:
        if isinstance(found, list):
            return [counted(each) for each in found]
        if not isinstance(found, dict):
            return found
        return {
            key: _renamed(names, key, value) if key in ("__id__", "file") else counted(value)
            for key, value in found.items()
        }

    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    schema = counted(json.loads(parts.pop("schema.json")))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(zipfile.ZipInfo("schema.json"), json.dumps(schema))
        for new, name in sorted((_renamed(names, "file", name), name) for name in parts):
            archive.writestr(zipfile.ZipInfo(new), parts[name])
    return out.getvalue()


def _renamed(names: dict[str, str], key: str, value: Any) -> Any:
    """The count of an object's address, or of the file that is named after it."""
    stem, dot, ending = str(value).partition(".")
    count = names.setdefault(stem, str(len(names)))
    return int(count) if key == "__id__" else f"{count}{dot}{ending}"


def load_skops(path: Path, *, trusted: bool = False) -> Any:
    """The estimator of a file.

    Raises:
        ArtifactCorrupt: It is no skops file, or a tree in it is forged.
        ConfigError: It holds types that are not known to be safe and is not `trusted`, or is absurdly large.
    """
    _check_zip(path)
    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

    try:
        found = set(skops.io.get_untrusted_types(file=path))
        model = skops.io.load(path, trusted=sorted(found if trusted else found & set(REVIEWED)))
    except UntrustedTypesFoundException as error:
        raise ConfigError(
            f"{path.name} holds types that are not known to be safe ({first_line(error)}): use XGBoost, LightGBM or "
            "an estimator of plain numbers, or export it to ONNX; or, if you trust everybody who could write it, open "
            "it with train.open_model(..., trusted=True)"
        ) from error
    except (KeyError, ValueError, TypeError, AttributeError, ImportError, OSError, IndexError) as error:
        raise ArtifactCorrupt(f"{path.name} is not a skops file: {type(error).__name__} {error}") from error
    check_trees(model, path.name)
    return model


def _check_zip(path: Path) -> None:
    """Refuse an archive that unpacks to more than the machine can hold."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise ArtifactCorrupt(f"{path.name} is not a skops file: {error}") from error
    size = sum(entry.file_size for entry in entries)
    if size > _LARGEST_UNPACKED or len(entries) > _MOST_ENTRIES:
        raise ConfigError(
            f"{path.name} unpacks to {size} bytes in {len(entries)} files, more than is loaded "
            f"({_LARGEST_UNPACKED} bytes in {_MOST_ENTRIES} files)"
        )
