"""Descent: how networks that answer for rows are fitted, on random batches of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch

_FEWEST = 20  # steps that a schedule is drawn for, so that it has a rise and a fall

Loss = Callable[[torch.Tensor], torch.Tensor]  # mean bits of the rows with these indices
Report = Callable[..., None]


def descend(
    net: torch.nn.Module,
    loss: Loss,
    n_rows: int,
    *,
    steps: int,
    batch: int,
    learning_rate: float,
    generator: torch.Generator,
    report: Report | None,
    done: int = 0,
    also: Sequence[torch.nn.Parameter] = (),
    last_share: float = 1e-4,
) -> float:
    """Fit a network in place; returns the running mean of its loss, NaN without steps.

    Adam with clipped gradients, whose learning rate rises and falls in one cycle (L. N. Smith and
    N. Topin, arXiv:1708.07120) and ends at `last_share` of where it starts.  Parameters `also`
    take part, unclipped.  Reports count from the steps that are `done`.
    """
    optimiser = torch.optim.Adam([*net.parameters(), *also], lr=learning_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser,
        max_lr=learning_rate,
        total_steps=max(steps, _FEWEST),
        pct_start=0.1,
        final_div_factor=1 / last_share,
    )
    smoothed = math.nan
    for step in range(steps):
        bits = loss(torch.randint(n_rows, (batch,), generator=generator))
        optimiser.zero_grad()
        bits.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        smoothed = bits.item() if step == 0 else 0.98 * smoothed + 0.02 * bits.item()
        if report is not None and step % 20 == 0:
            report(done + step, bits=smoothed)
    return smoothed
