"""A small training, for tests: sine waves, a model of a few units, and what it scores."""

import numpy as np
import torch

from latentode.nn import LatentODE, LatentODEConfig
from latentode.training import RaggedSeries, TrainingConfig, train
from latentode.training.crps import gaussian_crps


def waves(n_series=8, n_rows=12, seed=0):
    rng = np.random.default_rng(seed)
    times = np.sort(rng.uniform(0, 1, (n_series, n_rows)), axis=1)
    values = np.sin(6 * times + rng.uniform(0, 6, (n_series, 1)))
    offsets = np.arange(0, n_series * n_rows + 1, n_rows)
    return RaggedSeries(offsets, times.ravel(), values.reshape(-1, 1).astype(np.float32))


def small_model(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return LatentODE(LatentODEConfig(n_channels=1, usual_gap=0.1, latent_dim=3, context_dim=2, hidden_dim=8))


def score_of(model, batches):
    total = count = 0.0
    with torch.no_grad():
        for batch in batches:
            prediction = model.predict(batch)
            crps = gaussian_crps(prediction.mean, prediction.scale, batch.targets) * batch.target_mask
            total, count = total + float(crps.sum()), count + float(batch.target_mask.sum())
    return total / count


def trained(setting, seed=0, **options):
    model = small_model()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        options = TrainingConfig(**{"n_steps": 25, "batch_size": 4, **options})
        history, *_ = train(model, *setting, options, np.random.default_rng(seed))
    return model, history
