"""What counts how often something dear is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from defectvision.inference.runtime import Runtime


class CountingRuntime:
    """A runtime that counts the images it is given."""

    name = "counting"

    def __init__(self, runtime: Runtime):
        self.runtime, self.seen, self.workers = runtime, 0, 1

    def run(
        self, images: NDArray[np.float32], alone: bool = True
    ) -> Mapping[str, NDArray[np.float32]]:
        self.seen += len(images)
        return self.runtime.run(images, alone)


class Calls:
    """Counts the calls of a function that a module holds, and lets them through."""

    def __init__(self, patch: pytest.MonkeyPatch, owner: Any, name: str):
        self.count, self._real = 0, getattr(owner, name)
        patch.setattr(owner, name, self._counted())

    def _counted(self) -> Callable[..., Any]:
        def counted(*args: Any, **options: Any) -> Any:
            self.count += 1
            return self._real(*args, **options)

        return counted
