"""Files of weights in the formats of PyTorch, Paddle, HDF5 and safetensors, read without trust."""
