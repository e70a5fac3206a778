"""What pages draw with: a room for each page, and what several of them share."""
