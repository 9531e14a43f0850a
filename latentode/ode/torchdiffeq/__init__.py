"""The face of torchdiffeq on this solver: the same calls with the same arguments."""
