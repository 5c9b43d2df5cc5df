"""The names of the formats in which arrays travel."""

JSON = "application/json"
NPY = "application/x-npy"
NPZ = "application/x-npz"
SAFETENSORS = "application/vnd.safetensors"
ARROW = "application/vnd.apache.arrow.stream"

NAMING = (NPZ, SAFETENSORS, ARROW)
"""Those that carry several arrays, each with its name."""

BINARY = (NPY, *NAMING)
"""Those that carry arrays as they lie in memory."""
