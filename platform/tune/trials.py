"""Trials on Ray Tune's actors: each step trains a little further and reports, so that ASHA can stop the bad ones.

An actor serves many trials: rows and quantised matrices are loaded once and kept.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from ray.tune import Trainable

from ..train import Lightning, XGBoost, evaluate
from ..train.job import Rows, share_cores
from ..train.torch_options import module_options
from ..train.xgboost_loop import matrix, parameters
from .recorder import chosen


@dataclass(frozen=True, slots=True)
class Setting:
    """What all trials of a study share.

    Attributes:
        trainer: The trainer whose parameters are varied.
        columns: Columns after the recipe.
        task: ``binary`` or ``regression``.
        seed: Seed of every trial.
        threads: Threads of one trial.
        stride: Rounds (XGBoost) or epochs (Lightning) of one step.
    """

    trainer: XGBoost | Lightning
    columns: tuple[str, ...]
    task: str
    seed: int
    threads: int
    stride: int


class BoostTrial(Trainable):
    """XGBoost: one step is `stride` rounds."""

    _round: int

    def setup(  # type: ignore[override]
        self, config: dict[str, Any], setting: Setting, train: Rows, valid: Rows
    ) -> None:
        """Keep what the study's trials share, then begin this one."""
        share_cores()
        self._setting, self._train, self._valid = setting, train, valid
        self._matrices: dict[Any, tuple[Any, Any]] = {}
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Begin another trial in the same actor."""
        self._begin(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Boost further; report the validation metrics."""
        last = min(self._round + self._setting.stride, self._trainer.rounds)
        for index in range(self._round, last):
            self._booster.update(self._inputs, index)
        self._round = last
        scores = self._booster.predict(self._held_out)
        found = evaluate(scores, self._valid.labels, task=self._setting.task)
        return {**found, "rounds": last, **_end(last >= self._trainer.rounds)}

    def _begin(self, config: dict[str, Any]) -> None:
        import xgboost

        setting = self._setting
        self._trainer = cast(XGBoost, setting.trainer).updated(**chosen(config))
        self._inputs, self._held_out = self._quantised(self._trainer)
        params = parameters(self._trainer, setting.task, seed=setting.seed, threads=setting.threads, gpu=False)
        self._booster = xgboost.Booster(params, [self._inputs, self._held_out])
        self._round = 0

    def _quantised(self, trainer: XGBoost) -> tuple[Any, Any]:
        """The matrices of these settings: bins depend on `max_bin` and the tree method only."""
        params = trainer.params
        key = tuple(params.get(name) for name in ("max_bin", "tree_method", "booster"))
        if key not in self._matrices:
            columns, threads = self._setting.columns, self._setting.threads
            inputs = matrix(self._train, columns, trainer, threads)
            self._matrices[key] = (inputs, matrix(self._valid, columns, trainer, threads, like=inputs))
        return self._matrices[key]


class EpochTrial(Trainable):
    """Lightning: one step is `stride` epochs, continued from a checkpoint in the actor's own temporary folder."""

    _epoch: int

    def setup(  # type: ignore[override]
        self, config: dict[str, Any], setting: Setting, train: Rows, valid: Rows
    ) -> None:
        """Keep what the study's trials share, then begin this one."""
        share_cores()
        self._setting, self._train, self._valid = setting, train, valid
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Begin another trial in the same actor."""
        self.cleanup()
        self._begin(new_config)
        return True

    def cleanup(self) -> None:
        """Remove the checkpoint."""
        self._folder.cleanup()

    def step(self) -> dict[str, Any]:
        """Train further; report the validation metrics."""
        import torch

        last = min(self._epoch + self._setting.stride, self._trainer.max_epochs)
        self._advance(last)
        self._epoch = last
        self._module.eval()
        with torch.inference_mode():
            scores = self._module(torch.tensor(self._valid.inputs)).reshape(-1)
            scores = torch.sigmoid(scores) if self._setting.task == "binary" else scores
        found = evaluate(scores.double().numpy(), self._valid.labels, task=self._setting.task)
        return {**found, "rounds": last, **_end(last >= self._trainer.max_epochs)}

    def _begin(self, config: dict[str, Any]) -> None:
        import pytorch_lightning as pl
        import torch

        from ..train.flavours import build_module
        from ..train.lightning_loop import Batches

        setting = self._setting
        self._trainer = cast(Lightning, setting.trainer).updated(**chosen(config))
        torch.set_num_threads(setting.threads)
        pl.seed_everything(setting.seed, verbose=False)
        self._module = build_module(
            self._trainer.module, module_options(self._trainer, len(setting.columns), setting.task)
        )
        self._batches = Batches(self._train, self._trainer.batch_size, setting.seed)
        self._folder = tempfile.TemporaryDirectory(prefix="raylake-trial-")
        self._epoch = 0

    def _advance(self, epochs: int) -> None:
        import pytorch_lightning as pl

        from ..train.lightning_loop import History

        checkpoint = Path(self._folder.name) / "last.ckpt"
        engine = pl.Trainer(
            max_epochs=epochs, accelerator="cpu", callbacks=[History()], logger=False, enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False,
        )  # fmt: skip
        self._module.train()
        engine.fit(self._module, self._batches, ckpt_path=str(checkpoint) if self._epoch else None)
        engine.save_checkpoint(checkpoint)


def _end(complete: bool) -> dict[str, bool]:
    # Ray Tune sets `done` on trials that it stops as well, so we keep a word of our own.
    return {"done": complete, "complete": complete}
