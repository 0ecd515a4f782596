"""Stand-in for Microsoft's skr sidecar: attestation and key release over HTTP on the group's loopback."""
