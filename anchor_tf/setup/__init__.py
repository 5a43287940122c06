"""From flags to a run: what they are refused for, or its configuration and data."""
