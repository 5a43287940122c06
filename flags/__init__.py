"""Flag definitions, read by the mains; nothing here imports anchor_tf."""
