"""Losses: pure functions, per example, computed in float32."""
