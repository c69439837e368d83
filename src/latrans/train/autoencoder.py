"""Training of autoencoders: data and recipe in, integer programs out.

The networks are quantised from the first step (see `networks`), so what training reaches is what
the programs do.  The same recipe, data, seed and machine give the same programs.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import ConfigError
from ..models import autoencoder
from . import loss
from .batches import Batch, batches
from .data import PatchSource
from .lower import lower
from .networks import AutoencoderNetwork
from .progress import progress_bar
from .recipe import Objective, Recipe

_EVALUATIONS = 20
_REFRESH = 20  # steps between choices of the weights' steps
_HIDDEN_STD, _LATENT_STD = 0.7, 1.0  # of activations at the start, in real units
_PCA_STD = 1.25


def train_autoencoder(
    recipe: Recipe, source: PatchSource, *, seed: int | None = None, progress: bool = True
) -> autoencoder.Autoencoder:
    """Train the recipe's autoencoder on a source and lower it.

    Parameters
    ----------
    recipe : Recipe
        With an autoencoder section.
    source : PatchSource
    seed : int, optional
        Instead of the recipe's.
    progress : bool
        Show a bar on a terminal.

    Returns
    -------
    Autoencoder
        Integer programs with proven accumulators.

    Raises
    ------
    ConfigError
        If the recipe has no autoencoder, or the data does not fit it.
    """
    settings = recipe.training
    if recipe.autoencoder is None:
        raise ConfigError(f"recipe {recipe.name!r} has no autoencoder section to train")
    seed = settings.seed if seed is None else seed
    with _reproducible(seed, settings.threads):
        rng = np.random.default_rng(seed)
        network = AutoencoderNetwork(recipe.autoencoder)
        terms = Terms(network, recipe.objective)
        held_source, held = source, None
        if settings.validation:
            source, held_source = source.split(settings.validation, seed)
            held = batches(recipe, recipe.autoencoder, held_source).fixed()
        pool = batches(recipe, recipe.autoencoder, source)
        pool.refill(rng)
        start = pool.draw(rng, 4096 if recipe.autoencoder.family == "dense" else 64)
        terms.start(start)
        optimiser = torch.optim.Adam(terms.parameters(), settings.learning_rate, fused=True)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, settings.learning_rate, total_steps=max(settings.steps, 20), pct_start=0.1
        )
        best, best_state, waited = math.inf, copy.deepcopy(terms.state_dict()), 0
        every = max(1, settings.steps // _EVALUATIONS)
        with progress_bar(f"{recipe.name}: autoencoder", settings.steps, progress) as report:
            for step in range(1, settings.steps + 1):
                if step % _REFRESH == 1:
                    network.refresh()
                    report(step)
                found = terms(pool.draw(rng, settings.batch))
                optimiser.zero_grad()
                found.loss.backward()
                nn.utils.clip_grad_norm_(terms.parameters(), 5.0)
                optimiser.step()
                schedule.step()
                if step % every and step != settings.steps:
                    continue
                measured = terms.evaluate(start if held is None else held)
                report(step, loss=measured.loss.item(), bits=measured.bits.item())
                if measured.loss.item() < best:
                    best, waited = measured.loss.item(), 0
                    best_state = copy.deepcopy(terms.state_dict())
                else:
                    waited += 1
                if settings.patience and waited >= settings.patience:
                    break
                pool.refill(rng)
        terms.load_state_dict(best_state)
        return lower(network)


@dataclass(frozen=True)
class Measured:
    """Value of the objective, and the bits per sample among it."""

    loss: Tensor
    bits: Tensor


class Terms(nn.Module):  # type: ignore[misc]
    """The networks with everything that is trained beside them, and their objective."""

    def __init__(self, network: AutoencoderNetwork, objective: Objective) -> None:
        super().__init__()
        self.network, self.objective = network, objective
        recipe = network.recipe
        self.rate = loss.LatentRate(recipe.latents)
        grid = network.input_grid
        self.residual = loss.ResidualRate(grid.lo, grid.hi)
        self.log_variance: nn.Module | None = None
        if objective.variational:
            # The spread of the latents is needed in training only, so this layer is not lowered.
            last = network.analysis[-1]
            self.log_variance = copy.deepcopy(last)
            nn.init.zeros_(self.log_variance.weight)
            nn.init.constant_(self.log_variance.bias, -2.0)

    def start(self, batch: Batch) -> None:
        """Scale the layers to the data, and the densities to what comes out of them."""
        x = self._enter(torch.from_numpy(batch))
        with torch.no_grad():
            if self.network.recipe.init == "pca":
                _principal_components(self.network, x)
            else:
                _scale_to_data(self.network, x)
            self.network.refresh()
            z = self.network.quantise_latents(self.network.analyse(x))
            self.rate.start(z * self.network.recipe.latent_scale)

    def evaluate(self, batch: Batch) -> Measured:
        """The objective on clean data, latents rounded and not drawn."""
        self.network.refresh()
        self.eval()
        with torch.no_grad():
            parts = [self(part) for part in np.array_split(batch, max(1, len(batch) // 512))]
            measured = Measured(
                torch.stack([p.loss for p in parts]).mean(),
                torch.stack([p.bits for p in parts]).mean(),
            )
        self.train()
        return measured

    def forward(self, batch: Batch) -> Measured:
        goal, network = self.objective, self.network
        clean = torch.from_numpy(batch)
        x = self._enter(clean)
        features = network.features(self._corrupt(x) if self.training else x)
        z = network.latents(features)
        total = torch.zeros(())
        if self.log_variance is not None:
            log_variance = self.log_variance.linear(features).clamp(-10, 4)
            divergence = loss.variational(z, log_variance) * len(clean) / clean.numel()
            total = total + goal.variational * divergence
            if self.training:
                z = z + torch.randn_like(z) * (0.5 * log_variance).exp()
        rounded = network.quantise_latents(z)
        y = network.synthesise(rounded, clean.shape[-2:]).reshape(clean.shape)
        if network.recipe.family == "dense":
            scaled, target = y * (256 / 255), clean / 255
        else:
            scaled, target = y, clean / 2.0**network.input_grid.bits
        if goal.mse:
            total = total + goal.mse * loss.mse(scaled, target)
        if goal.bce:
            # Normalised planes lie in -2 to 2; entropy needs 0 to 1.
            dense = network.recipe.family == "dense"
            unit = (scaled, target) if dense else (scaled / 4 + 0.5, target / 4 + 0.5)
            total = total + goal.bce * loss.bce(*unit)
        if goal.sparse:
            total = total + goal.sparse * loss.sparse(z, goal.sparse_target)
        if goal.l1 or goal.l2:
            total = total + loss.weight_penalty(network, goal.l1, goal.l2)
        scale = network.recipe.latent_scale
        blurred = z * scale + torch.rand_like(z) - 0.5 if self.training else rounded * scale
        bits = self.rate(blurred) / clean.numel()
        total = total + goal.rate * bits
        if goal.residual:
            residual = self.residual(clean, y * 2.0**network.input_grid.bits)
            total, bits = total + goal.residual * residual, bits + residual
        return Measured(total, bits)

    def _enter(self, clean: Tensor) -> Tensor:
        x = clean / 2.0**self.network.input_grid.bits
        return x.flatten(1) if self.network.recipe.family == "dense" else x.unsqueeze(1)

    def _corrupt(self, x: Tensor) -> Tensor:
        goal = self.objective
        if goal.noise:
            x = x + goal.noise * torch.randn_like(x)
        if goal.corruption:
            x = x * (torch.rand_like(x) >= goal.corruption)
        return x


def _scale_to_data(network: AutoencoderNetwork, x: Tensor) -> None:
    """Give every layer's outputs a common spread, and the last one the data's mean."""
    for layer in network.analysis:
        last = layer is network.analysis[-1]
        y = layer.linear(x)
        layer.weight.mul_((_LATENT_STD if last else _HIDDEN_STD) / y.std().clamp_min(1e-3))
        layer.refresh()
        x = layer(x)
    for layer in list(network.synthesis)[:-1]:
        layer.weight.mul_(_HIDDEN_STD / layer.linear(x).std().clamp_min(1e-3))
        layer.refresh()
        x = layer(x)


def _principal_components(network: AutoencoderNetwork, x: Tensor) -> None:
    """Start a network without hidden layers at the principal components of `x`.

    Latents are scaled half way to equal spread: all the way would leave the weak components too
    few steps of the synthesis' int8 weights, not at all too few of their own.
    """
    mean = x.mean(0)
    variance, axes = torch.linalg.eigh((x - mean).T.double() @ (x - mean).double() / len(x))
    n = network.recipe.latents
    axes = axes.flip(1)[:, :n].T.float()
    spread = variance.flip(0)[:n].clamp_min(1e-8).sqrt().float()
    gain = _PCA_STD / (spread * spread[0]).sqrt()
    analysis, synthesis = network.analysis[0], network.synthesis[0]
    analysis.weight.copy_(axes * gain[:, None])
    analysis.bias.copy_(-(axes @ mean) * gain)
    synthesis.weight.copy_((axes / gain[:, None]).T)
    synthesis.bias.copy_(mean)


@contextmanager
def _reproducible(seed: int, threads: int) -> Iterator[None]:
    """Torch's generator and thread count as the recipe wants them, and back."""
    before = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.set_num_threads(threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)
