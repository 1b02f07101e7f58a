"""PyTorch compiled by Inductor (torch.compile); begin at `runtime.py`."""
