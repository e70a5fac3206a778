"""The accounts and tokens that an admin looks after, and what each role may do."""
