"""Decides: what has to be done for a resource, in which order, and what its status says about it."""
