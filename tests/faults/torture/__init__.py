"""A run of replicas in which everything fails at once; nothing may be lost or sent out of order."""
