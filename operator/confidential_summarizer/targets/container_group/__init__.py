"""Container groups straight through Azure Resource Manager."""
