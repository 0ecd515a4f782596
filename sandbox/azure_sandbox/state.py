"""Where the sandbox keeps what it has: folders, ports and the key of its blob account.

Everything lies under one home folder, so that removing that folder removes the sandbox:

```
<home>/
├── ca/           the sandbox's certificate authority; bundle.pem is what SSL_CERT_FILE names
├── logs/         one <process>.log for each process
├── run/          one <process>.pid for each process, and unix sockets
├── bin/          kubectl, helm, csum and kubectl-csum, as links
├── cluster/      certificates of the control plane, and etcd's data
├── registry/     the OCI registry's blobs
├── blobs/        Azurite's data, and the blob account's key
├── groups/NAME/  one folder for each container group
├── kubeconfig    the cluster admin's
└── ports.json    the ports on 127.0.0.1, chosen once and kept
```

Binaries built here are not state: they lie in the user's cache folder, by version, and are shared by all homes.
"""

import base64
import fcntl
import json
import os
import random
import secrets
import socket
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SERVICES = ("proxy", "stand_ins", "registry", "azurite", "apiserver", "etcd", "etcd_peer", "kubelet")
"""The sandbox's own listeners that keep their ports; a process that somebody adds keeps one under its own name."""

PORT_RANGE = range(20000, 32000)
"""Below Linux's ephemeral ports (ip_local_port_range, 32768-60999): no outgoing connection holds a kept port."""

BLOB_KEY_BYTES = 64
"""Length of a storage account key; Azurite takes any base64, the real service gives 512 bits."""


@dataclass(frozen=True)
class SandboxState:
    """The files of one sandbox.

    Attributes:
        home: The folder that holds everything. It need not exist yet.
    """

    home: Path

    @classmethod
    def from_environment(cls) -> "SandboxState":
        """Take the home folder from CSUM_SANDBOX_HOME, or from where XDG keeps a user's state."""
        if home := os.environ.get("CSUM_SANDBOX_HOME"):
            return cls(Path(home).absolute())
        base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
        return cls(Path(base) / "confidential-summarizer" / "sandbox")

    @property
    def ca(self) -> Path:
        """The certificate authority's folder."""
        return self.home / "ca"

    @property
    def ca_bundle(self) -> Path:
        """The PEM file that SSL_CERT_FILE names: the system's authorities and the sandbox's own."""
        return self.ca / "bundle.pem"

    @property
    def logs(self) -> Path:
        """One log for each process."""
        return self.home / "logs"

    @property
    def run(self) -> Path:
        """Pid files and unix sockets. A socket's whole path must stay below 108 bytes (unix(7))."""
        return self.home / "run"

    @property
    def bin(self) -> Path:
        """Commands for whoever uses the sandbox by hand; to be put in front of PATH."""
        return self.home / "bin"

    @property
    def cluster(self) -> Path:
        """Certificates and data of the control plane."""
        return self.home / "cluster"

    @property
    def registry(self) -> Path:
        """The OCI registry's storage."""
        return self.home / "registry"

    @property
    def blobs(self) -> Path:
        """Azurite's storage."""
        return self.home / "blobs"

    @property
    def groups(self) -> Path:
        """One folder for each container group."""
        return self.home / "groups"

    @property
    def kubeconfig(self) -> Path:
        """The cluster admin's kubeconfig."""
        return self.home / "kubeconfig"

    def group(self, name: str) -> Path:
        """The folder of one container group."""
        return self.groups / name

    def log(self, process: str) -> Path:
        """The log of one process."""
        return self.logs / f"{process}.log"

    def prepare(self) -> None:
        """Create the folders. The home is closed to other users: it holds private keys."""
        self.home.mkdir(parents=True, exist_ok=True)
        self.home.chmod(0o700)
        for folder in (self.ca, self.logs, self.run, self.bin, self.cluster, self.registry, self.blobs, self.groups):
            folder.mkdir(exist_ok=True)

    def link_command(self, command: Path) -> None:
        """Put a command where the sandbox's user finds it."""
        self.bin.mkdir(parents=True, exist_ok=True)
        link = self.bin / command.name
        if not link.is_symlink() or link.readlink() != command:
            with tempfile.TemporaryDirectory(dir=self.bin) as folder:
                (Path(folder) / command.name).symlink_to(command)
                (Path(folder) / command.name).replace(link)

    def port(self, service: str) -> int:
        """The port on 127.0.0.1 of one of `SERVICES`, or of a process that was added; chosen when first asked for."""
        return self.ports(service)[service]

    def ports(self, *added: str) -> Mapping[str, int]:
        """All kept ports by service; those missing so far, `added` ones too, are chosen free and written down."""
        with self._ports_locked() as known:
            for service in (*SERVICES, *added):
                if service not in known:
                    known[service] = free_port(taken=known.values())
            return dict(known)

    def move_port(self, service: str) -> int:
        """Choose another port for a service whose own one was taken by a stranger while it was down."""
        with self._ports_locked() as known:
            known[service] = free_port(taken=known.values())
            return known[service]

    def blob_key(self) -> str:
        """The blob account's shared key in base64, made at first use and kept."""
        path = self.blobs / "account.key"
        with locked(self.blobs / "account.lock"):
            if not path.exists():
                write_private(path, base64.b64encode(secrets.token_bytes(BLOB_KEY_BYTES)).decode())
            return path.read_text()

    @property
    def proxy_url(self) -> str:
        """What HTTPS_PROXY is set to."""
        return f"http://127.0.0.1:{self.port('proxy')}"

    def client_environment(self) -> dict[str, str]:
        """The settings that make an ordinary Azure client talk to the sandbox."""
        return {
            "HTTPS_PROXY": self.proxy_url,
            "NO_PROXY": "127.0.0.1,localhost",
            "SSL_CERT_FILE": str(self.ca_bundle),
        }

    def outside_environment(self) -> dict[str, str]:
        """This process's environment without the sandbox's own client settings, for downloads from the real world."""
        ours = self.client_environment()
        return {name: value for name, value in os.environ.items() if ours.get(name.upper()) != value}

    @contextmanager
    def _ports_locked(self) -> Iterator[dict[str, int]]:
        """The ports as a dictionary to change; changes are written when the block ends."""
        self.home.mkdir(parents=True, exist_ok=True)
        path = self.home / "ports.json"
        with locked(self.home / "ports.lock"):
            before = path.read_text() if path.exists() else "{}"
            known: dict[str, int] = json.loads(before)
            yield known
            after = json.dumps(known, indent=2, sort_keys=True) + "\n"
            if after != before:
                write_private(path, after)


def cache_directory() -> Path:
    """The user's cache folder for what is built or downloaded once."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "confidential-summarizer"


def free_port(taken: Iterable[int] = ()) -> int:
    """A port on 127.0.0.1 that nobody listens on and that is not among the taken ones.

    Raises:
        OSError: Every port of the range is in use.
    """
    avoided = set(taken)
    for port in random.sample(PORT_RANGE, len(PORT_RANGE)):
        if port not in avoided and is_free(port):
            return port
    raise OSError(f"every port in {PORT_RANGE.start}-{PORT_RANGE.stop - 1} on 127.0.0.1 is in use")


def is_free(port: int) -> bool:
    """Whether a listener could be opened on the port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def write_private(path: Path, text: str) -> None:
    """Write a file in one step, readable by its owner only, so that no reader sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mkstemp's mode is 0600
    with os.fdopen(handle, "w") as file:
        file.write(text)
    Path(name).replace(path)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock between processes; it ends with the block, or with the process."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
