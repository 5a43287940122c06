"""What happens beside training: progress, logs, robust validation, checkpoints."""
