"""Build hook of the sandbox's distribution: it requires the product of its own version, and no other."""

from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface


class SameVersion(MetadataHookInterface):
    """Adds the product to the dependencies that pyproject.toml lists."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set the dependencies."""
        product = f"confidential-summarizer=={metadata['version']}"
        metadata["dependencies"] = [product, *self.config["dependencies"]]
