"""What training minimises: every term of an objective, as a function of tensors.

Rates are bits, estimated by densities that are trained along with the networks.  They serve the
training only: the tables that code latents and residuals are counted afterwards, in integers.
"""

# torch comes without types here (see pyproject.toml): its classes are Any to mypy.
# mypy: disallow-subclassing-any=False
from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LOG2 = math.log(2.0)
_FLOOR = 1e-9  # of a probability: keeps bits and their gradients finite


def mse(y: Tensor, target: Tensor) -> Tensor:
    """Mean squared error."""
    return F.mse_loss(y, target)


def bce(y: Tensor, target: Tensor, margin: float = 1 / 256) -> Tensor:
    """Binary cross-entropy of reconstructions between 0 and 1, in nats per sample."""
    return F.binary_cross_entropy(y.clamp(margin, 1 - margin), target.clamp(0, 1))


def sparse(z: Tensor, target: float) -> Tensor:
    """Kullback-Leibler divergence of the latents' mean activations from `target`.

    A latent's activation is ``tanh |z|``, so that it lies in 0 to 1 as a sigmoid unit's would.
    """
    others = [d for d in range(z.ndim) if d != 1]
    mean = z.abs().tanh().mean(others).clamp(1e-4, 1 - 1e-4)
    first = target * (math.log(target) - mean.log())
    second = (1 - target) * (math.log(1 - target) - (1 - mean).log())
    return (first + second).sum()


def variational(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Kullback-Leibler divergence from a standard normal distribution, in nats per item."""
    divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)
    return divergence.flatten(1).sum(1).mean()


def weight_penalty(module: nn.Module, l1: float, l2: float) -> Tensor:
    """`l1` times the sum of absolute weights plus `l2` times the sum of squares; no biases."""
    weights = [p for name, p in module.named_parameters() if name.endswith("weight")]
    total = torch.zeros(())
    for weight in weights:
        total = total + l1 * weight.abs().sum() + l2 * weight.square().sum()
    return total


def logistic_mass(x: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    """Probability that a logistic variable lies within half a unit of `x`."""
    # By symmetry both values are taken on the side where their difference keeps its precision.
    centred, scale = (x - mean).abs(), torch.exp(-log_scale)
    return torch.sigmoid((0.5 - centred) * scale) - torch.sigmoid((-0.5 - centred) * scale)


class LatentRate(nn.Module):
    """Bits of integer latents, by one logistic distribution per channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(channels))
        self.log_scale = nn.Parameter(torch.zeros(channels))

    def start(self, z: Tensor) -> None:
        """Fit to latents, (n, channels, ...) in integers."""
        flat = z.detach().transpose(0, 1).flatten(1)
        self.mean.data = flat.mean(1)
        self.log_scale.data = (flat.std(1) * math.sqrt(3) / math.pi).clamp_min(0.1).log()

    def forward(self, z: Tensor) -> Tensor:
        """Total bits of `z`, integers or, in training, integers blurred by half a unit."""
        shape = (1, -1) + (1,) * (z.ndim - 2)
        mass = logistic_mass(z, self.mean.reshape(shape), self.log_scale.reshape(shape))
        return -(mass + _FLOOR).log().sum() / LOG2


class ResidualRate(nn.Module):
    """Bits of integer samples given their reconstruction, by one mixture of logistics around it.

    The residual coder, which knows a sample's neighbours too, needs fewer.  A causal network in
    place of the mixture led to the same rate at a larger error, in twice the time.
    """

    n_parts = 3

    def __init__(self, lo: int, hi: int) -> None:
        super().__init__()
        self.lo, self.hi = lo, hi
        spread = math.log(hi - lo)
        self.log_scale = nn.Parameter(torch.tensor([spread - 6.0, spread - 4.0, spread - 2.0]))
        self.log_weight = nn.Parameter(torch.zeros(self.n_parts))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Mean bits of samples `x` given `y`, integers of one shape."""
        value, mean = x.unsqueeze(-1), y.unsqueeze(-1)
        inverse = torch.exp(-self.log_scale.clamp_min(-3.0))
        # The outermost values take all that lies beyond them.
        above = torch.where(value >= self.hi, 50.0, (value + 0.5 - mean) * inverse)
        below = torch.where(value <= self.lo, -50.0, (value - 0.5 - mean) * inverse)
        # By symmetry: where both are positive their difference would lose its precision.
        flip = torch.where(above + below > 0, -1.0, 1.0)
        mass = flip * (torch.sigmoid(flip * above) - torch.sigmoid(flip * below))
        total = (self.log_weight.softmax(0) * mass).sum(-1)
        # One in a thousand for "anything": no sample costs more than a raw one and ten bits.
        total = 0.999 * total + 0.001 / (self.hi - self.lo + 1)
        return -total.log().mean() / LOG2
