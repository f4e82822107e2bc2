"""Is anything lost or told out of order while everything fails at once? `make torture` finds out."""
