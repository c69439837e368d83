"""latrans on Dask."""

from .fit import fit
from .latents import map_latents
from .scores import robust_z, scores

__all__ = ["fit", "map_latents", "robust_z", "scores"]
