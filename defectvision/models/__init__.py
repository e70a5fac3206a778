"""What predicts: pure torch modules and one registry of lowercase names."""

from defectvision.models.registry import ARCHITECTURES, create_model

__all__ = ["ARCHITECTURES", "create_model"]
