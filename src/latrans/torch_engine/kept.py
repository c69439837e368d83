"""Decoded planes as references for later ones: on the device, or as the host has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from ..coding.fixed_point import Ints
from ..residual.job import Job
from ..residual.protocol import Decoding

Tensor = Any  # torch.Tensor; mypy does not see the package


@dataclass(frozen=True)
class Kept:
    """A decoded plane as a reference for later ones, where it was decoded.

    Attributes
    ----------
    batch : samples, errors and energies of all planes of its batch, (samples, items) each.
    at : which of the items it is.
    """

    batch: tuple[Tensor, Tensor, Tensor]
    at: int


def side_by_side(planes: Sequence[Kept], part: int) -> Tensor:
    """Samples, errors or energies of some planes, (samples, items)."""
    batch = planes[0].batch
    if all(kept.batch is batch for kept in planes):  # they have come all the way together
        return batch[part][:, [kept.at for kept in planes]]
    return torch.stack([kept.batch[part][:, kept.at] for kept in planes], 1)


class HostDecoding:
    """The host's decoding of a section, whose planes may refer to what a device has decoded."""

    def __init__(self, decoding: Decoding) -> None:
        self._decoding = decoding
        self._known: list[tuple[Any, Any]] = []  # what the device has, what the host has
        self.finish = decoding.finish

    def plane(
        self, job: Job, lane_first_samples: Ints | None, kept: Kept | None = None
    ) -> tuple[Ints, Any]:
        """The next plane, which the device has as `kept`."""
        references = [
            next((mine for theirs, mine in self._known if theirs is given), given)
            for given in job.references
        ]
        samples, coded = self._decoding.plane(
            replace(job, references=references), lane_first_samples
        )
        if kept is not None:
            self._known.append((kept, coded))
        return samples, coded
