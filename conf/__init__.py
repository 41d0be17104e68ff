"""The configuration: ``config.yaml`` and one folder per group. No code."""
