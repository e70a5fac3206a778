"""How a bundle is served, without torch: decoding, preprocessing, runtime, evidence, policy."""
