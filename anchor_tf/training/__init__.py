"""Training: a method's construction, its phases, their steps, and how fast they are."""
