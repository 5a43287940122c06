"""One rule for what an encoded image shows, in training and in serving."""
