"""`python -m defectvision.cli`: the command line where its script is not on the path."""

from defectvision.cli.main import app

app()
