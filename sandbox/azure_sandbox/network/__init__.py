"""How Azure's host names are reached on this machine, without changing any endpoint in any client."""
