"""The optimizer of the matrices.

torch.optim.Muon is the same method, but orthogonalizes in bfloat16, which most CPUs emulate.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor


def orthogonalize(matrix: Tensor, steps: int = 5) -> Tensor:
    """Move all singular values towards one (Newton-Schulz iteration, Keller Jordan's numbers)."""
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    x = wide / (wide.norm() + 1e-7)
    for _ in range(steps):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x if wide is matrix else x.T  # type: ignore[no-any-return]


class Muon(torch.optim.Optimizer):
    """Step along the orthogonalized momentum."""

    def __init__(
        self, matrices: Iterable[Tensor], lr: float, momentum: float = 0.95, decay: float = 0.0
    ) -> None:
        super().__init__(matrices, {"lr": lr, "momentum": momentum, "decay": decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """Apply the gradients."""
        for group in self.param_groups:
            for matrix in group["params"]:
                state = self.state[matrix]
                if not state:
                    state["momentum"] = torch.zeros_like(matrix)
                momentum: Tensor = state["momentum"]
                momentum.lerp_(matrix.grad, 1 - group["momentum"])
                direction = orthogonalize(torch.lerp(matrix.grad, momentum, group["momentum"]))
                matrix.mul_(1 - group["lr"] * group["decay"])
                matrix.add_(direction, alpha=-group["lr"])
