"""The resource as people write it: models, rules, names. Pure; imports nothing of ours but errors."""
