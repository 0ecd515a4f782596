"""Confidential-computing enforcement policies: written, read, compared and explained."""
