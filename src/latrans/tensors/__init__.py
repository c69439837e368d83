"""Batches of planes on PyTorch tensors, of a CPU or of another device (engine ``torch``)."""
