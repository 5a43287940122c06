"""Checkpoints: their files, and which of them a run goes on from."""
