"""Key Vault (premium) and Managed HSM keys with secure key release (contract of api-versions 7.3 to 2025-07-01)."""
