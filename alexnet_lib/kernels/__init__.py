"""Fast paths in C and Triton behind the operators; everything works without them."""
