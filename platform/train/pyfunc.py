"""What MLflow's client imports to open a model that raylake trained; see `mlmodel`. Nothing else imports it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..core import SchemaMismatch
from .model import LoadedModel, load_model

if TYPE_CHECKING:
    import pandas as pd


class PythonFunction:
    """A model of ours as MLflow's ``python_function``.

    Args:
        model: The model.

    Example:
        >>> from raylake import data, train
        >>> model = PythonFunction(train.open_model(ws, "flight-delay@champion"))
        >>> model.predict(data.table(ws, "flights").to_pandas()).shape
        (500,)
    """

    def __init__(self, model: LoadedModel) -> None:
        self._model = model

    def predict(self, model_input: pd.DataFrame, params: Mapping[str, Any] | None = None) -> NDArray[np.float64]:
        """Scores (n,) of rows: what `LoadedModel.predict` says of them.

        Args:
            model_input: All input columns of the model's signature, before its recipe; others are ignored.
            params: Not used: our models take none.

        Raises:
            SchemaMismatch: A column is missing or has a type that does not fit, or it is no data frame.
        """
        try:
            rows = pa.Table.from_pandas(model_input, preserve_index=False)
        except (pa.ArrowException, AttributeError, TypeError) as error:
            raise SchemaMismatch(
                f"the input is no data frame that Arrow can hold ({error}): give a pandas.DataFrame with the columns "
                f"{', '.join(self._model.signature.names)}"
            ) from error
        return self._model.predict(rows)


def _load_pyfunc(path: str) -> PythonFunction:
    """Called by MLflow with the folder of a model."""
    return PythonFunction(load_model(Path(path)))
