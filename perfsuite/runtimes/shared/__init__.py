"""What several runtimes use: sessions, origins of kernels, precisions, quantized graphs."""
