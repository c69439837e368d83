"""The sections of a recipe: each checks its own values when it is made."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from ..errors import RecipeError
from ..residual.predictor import MAX_EXPERTS

FAMILIES = ("dense", "conv2d", "conv1d")
INITS = ("default", "pca")


@dataclass(frozen=True)
class AutoencoderRecipe:
    """Shape of the two networks around the latents.

    Attributes
    ----------
    family : {"dense", "conv2d", "conv1d"}
        Fixed small samples, planes of any size, tracks of any length.
    latents : int
        Latents per sample (dense), channels of latents (conv).
    latent_dtype : {"int8", "int16"}
        int8 latents lie in -127 to 127, int16 in -2047 to 2047.
    latent_scale : int
        Latent integers per unit of the float network, a power of two.  Small where the rate is
        to be low, since a latent's integer is then a coarse step.
    hidden : tuple of int
        Widths (dense) or channels (conv) of the analysis' hidden layers, from the data inwards.
    decoder : tuple of int
        The same of the synthesis, from the latents outwards; `hidden` reversed if empty.
    sample_shape : (rows, columns)
        Of one sample; dense only.
    strides : tuple of int
        One per analysis layer, hidden ones and the last; conv only.
    kernel : int
        Odd size of the analysis' kernels; conv only.
    init : {"default", "pca"}
        "pca" starts a dense network without hidden layers at the principal components.
    dropout : float
        Probability that a hidden unit is silent in a training step.
    """

    family: str
    latents: int
    latent_dtype: str = "int8"
    latent_scale: int = 16
    hidden: tuple[int, ...] = ()
    decoder: tuple[int, ...] = ()
    sample_shape: tuple[int, ...] = ()
    strides: tuple[int, ...] = ()
    kernel: int = 5
    init: str = "default"
    dropout: float = 0.0

    def __post_init__(self) -> None:
        check_choice("family", self.family, FAMILIES)
        check_choice("latent_dtype", self.latent_dtype, ("int8", "int16"))
        check_choice("init", self.init, INITS)
        check_at_least("latents", self.latents, 1)
        check_at_least("hidden", min(self.hidden + self.decoder, default=1), 1)
        if self.latent_scale < 1 or self.latent_scale & (self.latent_scale - 1):
            raise RecipeError(f"latent_scale is {self.latent_scale}; expected a power of two")
        if not 0 <= self.dropout < 1:
            raise RecipeError(f"dropout is {self.dropout}; expected 0 <= dropout < 1")
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise RecipeError(f"kernel is {self.kernel}; expected an odd size")
        if self.family == "dense":
            if len(self.sample_shape) != 2 or min(self.sample_shape) < 1:
                raise RecipeError(f"sample_shape is {self.sample_shape}; expected [rows, columns]")
            if self.strides:
                raise RecipeError("strides belong to conv families; a dense network has none")
        else:
            if self.sample_shape:
                raise RecipeError("sample_shape belongs to family 'dense'")
            if len(self.strides) != len(self.hidden) + 1 or min(self.strides) < 1:
                raise RecipeError(
                    f"strides has {len(self.strides)} entries; expected {len(self.hidden) + 1}, "
                    "one per analysis layer, each at least 1"
                )
        if self.init == "pca" and (self.family != "dense" or self.hidden or self.decoder):
            raise RecipeError("init 'pca' needs family 'dense' without hidden layers")


@dataclass(frozen=True)
class Objective:
    """Weights of the terms that are added up and minimised.

    Attributes
    ----------
    mse, bce : float
        Mean squared error and binary cross-entropy of the reconstruction, samples scaled to
        0 to 1 (dense) or to the plane's spread (conv).
    rate : float
        Bits per sample of the latents.
    residual : float
        Bits per sample of the residual, given the reconstruction.
    sparse, sparse_target : float
        Kullback-Leibler divergence between a target activation of the latents and the mean one.
    variational : float
        Kullback-Leibler divergence between the latents and a standard normal distribution;
        latents are drawn in training and are their means afterwards.
    l1, l2 : float
        Penalties on the size of weights.
    noise, corruption : float
        Denoising: standard deviation of noise added to the input, in units of the data's range,
        and fraction of input samples set to zero; the target stays clean.
    """

    mse: float = 0.0
    bce: float = 0.0
    rate: float = 0.0
    residual: float = 0.0
    sparse: float = 0.0
    sparse_target: float = 0.1
    variational: float = 0.0
    l1: float = 0.0
    l2: float = 0.0
    noise: float = 0.0
    corruption: float = 0.0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value < 0:
                raise RecipeError(f"{name} is {value}; expected a weight of at least 0")
        if not self.mse + self.bce + self.residual:
            raise RecipeError("the objective has no target; set mse, bce or residual above 0")
        if not 0 < self.sparse_target < 1 or self.corruption >= 1:
            raise RecipeError("sparse_target must lie between 0 and 1, corruption below 1")


@dataclass(frozen=True)
class PredictorRecipe:
    """Size and training of the network that predicts samples for the residual coder.

    Attributes
    ----------
    hidden : tuple of int
        Widths of the hidden layers.
    examples, rows : int
        Random pieces of data that are learned from, and samples drawn from each.
    steps, batch : int
        Optimiser steps, samples in each.
    learning_rate : float
        Peak of the schedule.
    augment : bool
        Whether pieces are also learned from at other bit depths, noise levels and sharpness.
    experts : int
        Networks for different kinds of data, of which every plane names the best; 1 to 7.
    flat : bool
        Whether equal surroundings have a class of their own.
    reconstruction : bool
        Whether the autoencoder's reconstruction is under the residual, so that every lossless
        chunk holds latents and has a preview; otherwise it serves lossy mode alone.
    by_value : bool
        Whether small samples of bytes are coded value by value instead of as offsets from a
        prediction; needs a dense autoencoder.
    """

    hidden: tuple[int, ...] = (32, 16)
    examples: int = 96
    rows: int = 8000
    steps: int = 3000
    batch: int = 4096
    learning_rate: float = 4e-3
    experts: int = 1
    augment: bool = True
    flat: bool = True
    reconstruction: bool = True
    by_value: bool = False

    def __post_init__(self) -> None:
        check_at_least("hidden", min(self.hidden, default=0), 1)
        for name in ("examples", "steps", "rows", "batch", "experts"):
            check_at_least(name, getattr(self, name), 1)
        if self.experts > MAX_EXPERTS:
            raise RecipeError(f"experts is {self.experts}; expected at most {MAX_EXPERTS}")
        if self.learning_rate <= 0:
            raise RecipeError(f"learning_rate is {self.learning_rate}; expected it above 0")


@dataclass(frozen=True)
class TransformRecipe:
    """Size and training of the network that tells a lossy model how large coefficients are.

    Attributes
    ----------
    hidden : tuple of int
        Widths of the hidden layers.
    pictures : int
        Random pictures that are learned from, each at a random rate.
    share : float
        Fraction of their coefficients that is learned from.
    steps, batch : int
        Optimiser steps, coefficients in each.
    learning_rate : float
        Peak of the schedule.
    augment : bool
        Whether pictures are also learned from at other sizes and noise levels.
    """

    hidden: tuple[int, ...] = (32, 16)
    pictures: int = 140
    share: float = 0.1
    steps: int = 5000
    batch: int = 4096
    learning_rate: float = 8e-3
    augment: bool = True

    def __post_init__(self) -> None:
        check_at_least("hidden", min(self.hidden, default=0), 1)
        for name in ("pictures", "batch"):
            check_at_least(name, getattr(self, name), 1)
        check_at_least("steps", self.steps, 2)
        if self.learning_rate <= 0 or not 0 < self.share <= 1:
            raise RecipeError("learning_rate must lie above 0, share above 0 and at most 1")


@dataclass(frozen=True)
class SourceFile:
    """A file to train on, for recipes that name their data.

    Attributes
    ----------
    file : str
        Path below the folder that is given to the training.
    axes : str
        One letter per dimension; the recipe's if empty.
    weight : float
        How often pieces are drawn from it.
    """

    file: str
    axes: str = ""
    weight: float = 1.0

    def __post_init__(self) -> None:
        if self.weight <= 0:
            raise RecipeError(f"weight of {self.file!r} is {self.weight}; expected it above 0")


@dataclass(frozen=True)
class Training:
    """How the autoencoder is trained.

    Attributes
    ----------
    steps, batch : int
        Optimiser steps at most, samples or patches in each.
    learning_rate : float
        Peak of the schedule.
    patience : int
        Evaluations on the validation split without improvement before training stops early;
        there are 20 evaluations in `steps`.  0: never.
    validation : float
        Fraction of the data that is held back.
    patch : int
        Side of square patches, or length of segments; conv only.
    shift : int
        Largest random shift of a sample, in pixels, with zeros moved in; dense only.
    threads : int
        Of the arithmetic: part of the recipe, since sums depend on it.
    seed : int
    """

    steps: int = 6000
    batch: int = 128
    learning_rate: float = 2e-3
    patience: int = 5
    validation: float = 0.05
    patch: int = 64
    shift: int = 0
    threads: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "patch", "threads"):
            check_at_least(name, getattr(self, name), 1)
        for name in ("patience", "shift", "seed"):
            check_at_least(name, getattr(self, name), 0)
        if not 0 <= self.validation <= 0.5 or self.learning_rate <= 0:
            raise RecipeError("validation must lie in 0 to 0.5, learning_rate above 0")


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise RecipeError(f"{name} is {value!r}; expected one of {', '.join(choices)}")


def check_at_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise RecipeError(f"{name} is {value}; expected at least {least}")
