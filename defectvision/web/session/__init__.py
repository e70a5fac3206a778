"""What one browser session has and knows."""
