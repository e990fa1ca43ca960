"""A model for other programs: as safetensors, ONNX or a bioimage.io package, each one checked."""
