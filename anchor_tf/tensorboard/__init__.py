"""What TensorBoard shows that is written at once: the projector's points and their thumbnails."""
