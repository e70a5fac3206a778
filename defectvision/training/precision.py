"""In which floating-point format a training computes."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


def choose_precision(precision: str) -> str:
    """accelerate's name for the precision. `auto` is bf16 where it is fast: on CUDA, and on a
    CPU that multiplies it in hardware."""
    if precision == "auto":
        can = torch.cpu.get_capabilities()
        fast = torch.cuda.is_available() or can.get("amx_bf16") or can.get("avx512_bf16")
        return "bf16" if fast else "no"
    return {"fp32": "no"}.get(precision, precision)


def keep_slow_gradients_fp32(model: nn.Module) -> None:
    """Compute in fp32, on a CPU, the convolutions whose bf16 gradient is slow there.

    These are depthwise ones with a stride or a kernel above 3: on two cores with AVX512-BF16 their
    gradients took 3 times as long in bf16 as in fp32, two thirds of a step of EfficientNet-Lite0.
    A copy of the model would keep calling the original's layers: make copies first.
    """
    for layer in model.modules():
        if not isinstance(layer, nn.Conv2d) or not 1 < layer.groups == layer.in_channels:
            continue
        if layer.stride != (1, 1) or max(layer.kernel_size) > 3:
            setattr(layer, "forward", _in_fp32(layer.forward))  # noqa: B010


def _in_fp32(forward: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    def call(x: Tensor) -> Tensor:
        if x.device.type != "cpu":
            return forward(x)
        with torch.autocast("cpu", enabled=False):
            return forward(x.float())

    return call
