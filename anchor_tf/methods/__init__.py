"""Training methods: one keras.Model subclass a file."""
