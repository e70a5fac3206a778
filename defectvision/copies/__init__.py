"""Near-copies: the same photograph again, turned, mirrored, stretched or re-lit."""
