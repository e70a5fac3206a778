"""Who is at the pages: signing in, and the accounts and tokens that an admin looks after."""
