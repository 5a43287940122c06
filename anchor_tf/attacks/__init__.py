"""Attacks: pure functions (logits_fn, x, y, threat, seed, x_init) -> adversarial images."""
