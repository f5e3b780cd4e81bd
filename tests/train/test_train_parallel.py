"""Every way to share a network gives the single process's weights: real processes, real collectives."""

from __future__ import annotations

import numpy as np
import pytest

from raylake import registry, train
from raylake.core import ConfigError
from raylake.testing.train_loops import MODES, every_mode, sgd, weights_of
from raylake.train.compute import Resources
from raylake.train.fit import job_of
from raylake.train.live import log_if_training, logging_to
from raylake.train.parallel import split_points, tensor_parallel
from raylake.train.plan import make_plan
from raylake.train.torch_loop import train_torch

NETWORK = train.Torch(kwargs={"hidden": (16, 8)}, epochs=3, lr=0.01, batch_size=100)


def alone(ws, spec):
    """The fit in this process, without Ray."""
    return train_torch(job_of(ws, spec, make_plan(ws, spec), Resources(1, 1, 0, None), "alone", ""))


@pytest.mark.slow
def test_every_mode_gives_the_weights_of_one_process(ray_ws, frame, training):
    """One worker group trains in every mode, by our loop and by Lightning; batches of 100 leave a smaller last one."""
    spec = train.Spec(NETWORK, training(ray_ws, frame(1200)))
    one = alone(ray_ws, spec)
    expected, losses = np.array(weights_of(one.content)), one.history["valid_loss"]
    start = np.array(weights_of(alone(ray_ws, spec.replace(trainer=NETWORK.updated(lr=1e-12))).content))
    assert np.abs(expected - start).max() > 0.01  # it did learn something
    from raylake.train.compute import resolve
    from raylake.train.launch import launch

    both = spec.replace(trainer=NETWORK.updated(loop=f"{every_mode.__module__}:every_mode"))
    both = both.replace(compute=train.Compute(workers=2))
    resources = resolve(ray_ws, both.compute)
    found = launch(
        ray_ws, job_of(ray_ws, both, make_plan(ray_ws, both), resources, "modes", ""), resources, "modes"
    ).history
    for mode in MODES:
        np.testing.assert_allclose(found[mode], expected, atol=2e-5, err_msg=mode)
        np.testing.assert_allclose(found[f"{mode}_loss"], losses, atol=1e-5, err_msg=mode)
    for mode in ("ddp", "fsdp", "tensor"):
        np.testing.assert_allclose(found[f"lightning-{mode}"], expected, atol=2e-5, err_msg=f"lightning-{mode}")


def test_a_loop_of_ones_own(ws, frame, training):
    spec = train.Spec(NETWORK.updated(loop=sgd, epochs=8), training(ws, frame(1200)))
    fitted = alone(ws, spec)
    assert fitted.history["train_loss"][-1] < 0.75 * fitted.history["train_loss"][0] and fitted.rounds == 8


def test_a_network_that_cannot_be_cut():
    import torch
    from torch import nn

    with pytest.raises(ConfigError, match=r"1 blocks with weights.*pipeline of 2 workers needs 2"):
        split_points(nn.Sequential(nn.Linear(2, 1), nn.ReLU()), 2)
    with pytest.raises(ConfigError, match=r"no two linear layers in sequence in Sequential"):
        tensor_parallel(nn.Sequential(nn.Linear(2, 1), nn.BatchNorm1d(1), nn.Linear(1, 1)), None)
    blocks = nn.Sequential(*[nn.Linear(4, 4) for _ in range(6)])
    assert split_points(blocks, 3) == ["2", "4"]
    assert torch.is_tensor(blocks(torch.zeros(1, 4)))


@pytest.mark.parametrize(
    ("trainer", "compute", "message"),
    [
        (train.XGBoost(), {"parallel": "fsdp"}, "are for networks"),
        (train.XGBoost(), {"precision": "bf16"}, "are for networks"),
        (train.MLP(), {"parallel": "pipeline"}, "Lightning has no pipeline"),
        (train.Torch(), {"parallel": "gpipe", "precision": "bf16"}, "computes in 32 bits"),
    ],
)
def test_combinations_that_do_not_exist(ws, frame, training, trainer, compute, message):
    with pytest.raises(ConfigError, match=message):
        train.Spec(trainer, training(ws, frame(50)), compute=train.Compute(workers=2, **compute))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: train.Torch(loss="cosine"), "loss='cosine'"),
        (lambda: train.Torch(optimizer="adam w"), "optimizer='adam w'"),
        (lambda: train.Torch(epochs=0), "epochs=0"),
        (lambda: train.Torch(loop=lambda work: None), "cannot be imported by a worker"),
        (lambda: train.Compute(workers=(2, 1)), r"workers=\(2, 1\)"),
        (lambda: train.Compute(workers=(1, 2), parallel="tensor"), "use a fixed number"),
        (lambda: train.Compute(resources={"GPU": 1}), "set GPU by gpus="),
        (lambda: train.Compute(placement="far"), "placement='far'"),
        (lambda: train.Checkpoints(keep=0), "keep=0"),
    ],
)
def test_values_that_mean_nothing(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


def test_bfloat16_learns(ws, frame, training):
    spec = train.Spec(NETWORK.updated(epochs=8), training(ws, frame(1200)), compute=train.Compute(precision="bf16"))
    fitted, exact = alone(ws, spec), alone(ws, spec.replace(compute=train.Compute()))
    assert fitted.history["valid_loss"][-1] == pytest.approx(exact.history["valid_loss"][-1], abs=0.02)
    assert fitted.content != exact.content


def test_metrics_of_workers_reach_the_run(ws):
    from raylake.train.live import Follower

    run = registry.start_run(ws, "train", "live")
    with Follower(ws, run.id):
        with logging_to(ws, run.id):
            for step in range(5):
                train.log(step, loss=1 / (step + 1))
        with logging_to(ws, run.id, records=False):
            train.log(9, loss=7.0)
    log_if_training(1, {"loss": 9.0})
    assert registry.metric_history(ws, run.id, "loss") == [(step, 1 / (step + 1)) for step in range(5)]
