"""The widgets that show and move the policy."""
