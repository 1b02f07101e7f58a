"""Binary convolutions by kernels of perfsuite's own."""
