"""Images that the program draws, with their truth."""

from defectvision.data.synthetic.samples import draw, is_synthetic, write_samples

__all__ = ["draw", "is_synthetic", "write_samples"]
