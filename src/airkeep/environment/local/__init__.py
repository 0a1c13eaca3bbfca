"""The kind `local`: what MWAA would give, on one machine and without containers."""
