"""What any method can be given beside its own loss."""
