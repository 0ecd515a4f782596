"""Versions of Azure's APIs, importable without an Azure SDK: templates name them, too."""

CONTAINER_GROUPS = "2023-05-01"
"""The first stable version with securityContext and confidentialComputeProperties."""
