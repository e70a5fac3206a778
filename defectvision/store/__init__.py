"""What happened: tables of batches, inspections, reviews and policies, and files by content."""
