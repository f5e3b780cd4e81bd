"""A model behind FastAPI and uvicorn as one would write it by hand. Arguments: model file, port, names of columns.

Rows are validated by pydantic and scored by XGBoost; nothing is captured, no feature is looked up. `POST /constant`
answers without any work: what the server alone costs.
"""

# No postponed annotations here: FastAPI could not see the request's type, which is made in a function.
import sys
from typing import Any

import numpy as np
import uvicorn
import xgboost
from fastapi import FastAPI
from pydantic import BaseModel, create_model


class Answer(BaseModel):
    """The answer, in the order of the rows."""

    predictions: list[float]


def application(file: str, names: list[str]) -> FastAPI:
    """The application: POST /predict with {"rows": [{...}]}, POST /constant."""
    booster = xgboost.Booster({"nthread": 1})
    booster.load_model(file)
    row: Any = create_model("Row", **dict.fromkeys(names, (float, ...)))
    request: Any = create_model("Request", rows=(list[row], ...))
    app = FastAPI()

    @app.post("/predict")
    async def predict(body: request) -> Answer:
        matrix = np.array([[getattr(one, name) for name in names] for one in body.rows], dtype=np.float32)
        return Answer(predictions=booster.inplace_predict(matrix).tolist())

    @app.post("/constant")
    async def constant() -> Answer:
        return Answer(predictions=[0.5])

    return app


if __name__ == "__main__":
    uvicorn.run(application(sys.argv[1], sys.argv[3:]), host="127.0.0.1", port=int(sys.argv[2]), log_level="error")
