"""Mount rules: where in the sandbox each kind of volume comes from."""

from confidential_summarizer.policy.document import MountRule

_FOLDER = "sandbox:///tmp/atlas"
SOURCES = {
    "azureFile": f"{_FOLDER}/azureFileVolume/.+",
    "secret": f"{_FOLDER}/secretsVolume/.+",
    "secretsSource": "plan9://",
    "emptyDir": f"{_FOLDER}/emptydir/.+",
    "resolvconf": f"{_FOLDER}/resolvconf/.+",
    "gitRepo": f"{_FOLDER}/gitRepoVolume/.+",
    "elasticSan": f"{_FOLDER}/esanVolume/.+",
}
"""The source that the service gives a volume, by the volume's kind in a container group."""


def mount(kind: str, destination: str, *, read_only: bool = False) -> MountRule:
    """The rule for a volume of one kind."""
    return MountRule(destination, SOURCES[kind], ("rbind", "rshared", "ro" if read_only else "rw"))
