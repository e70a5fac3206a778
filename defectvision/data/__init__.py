"""What is learned from: catalogs, published layouts, masks, splits, statistics, samples."""
