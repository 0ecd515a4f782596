"""The guest's own evidence: a report of the secure processor, and the attestation service's token for it."""
