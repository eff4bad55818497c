"""Weights in and out: official checkpoints, backbones of the hub, adapters, ONNX."""
