"""How a model learns: recipes, augmentation, sampling, the loop, and the export to a bundle."""
