"""Resource Manager with one resource provider: Confidential container groups (contract of api-version 2023-05-01)."""
