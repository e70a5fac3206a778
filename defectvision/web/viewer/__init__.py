"""The picture viewer and its layers."""
