import numpy as np

from defectvision.inference.flips import FlippingRuntime


class _Linear:
    """Evidence is the image itself in cells of 2, plus more on the left, plus a little per call."""

    name = "linear"
    workers = 2

    def __init__(self):
        self.seen = []

    def run(self, images, alone=True):
        self.seen.append(images.copy())
        cells = images.reshape(len(images), 1, 4, 2, 6, 2).mean((3, 5))
        evidence = cells + np.linspace(0.5, -0.5, 6)
        return {
            "logits": evidence.mean((2, 3)) + 0.25,
            "evidence": evidence,
            "embedding": evidence.mean((2, 3)),
            "masks": images * 2,
        }


def test_maps_come_back_unflipped_and_still_add_up():
    images = np.random.default_rng(0).normal(size=(2, 1, 8, 12)).astype(np.float32)
    inner = _Linear()
    found = FlippingRuntime(inner).run(images)
    assert len(inner.seen) == 4
    assert len({seen.tobytes() for seen in inner.seen}) == 4
    np.testing.assert_allclose(found["masks"], images * 2, rtol=1e-6)
    # what the model adds on the left it adds on the right of the mirror images: it cancels out
    cells = images.reshape(2, 1, 4, 2, 6, 2).mean((3, 5))
    np.testing.assert_allclose(found["evidence"], cells, atol=1e-6)
    np.testing.assert_allclose(found["logits"], found["evidence"].mean((2, 3)) + 0.25, atol=1e-6)
