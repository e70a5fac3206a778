"""What leaves the app: tables, objects and pictures, all computed from (scores, policy)."""
