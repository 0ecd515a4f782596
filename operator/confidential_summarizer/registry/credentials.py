"""Where a registry's password comes from: docker and podman files, credential helpers, pull secrets, Azure."""

import asyncio
import base64
import fnmatch
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from confidential_summarizer.errors import AccessDenied, SpecError
from confidential_summarizer.registry.reference import DEFAULT_REGISTRY

_TOKEN_USER = "<token>"  # noqa: S105 - the marker by which helpers say that the secret is a refresh token
_NOT_FOUND = "credentials not found"
_HELPER_DEADLINE = 30.0
_LONGEST_LABEL = 63
"""Characters of a label (RFC 1035). Patterns stay compiled in memory, and whoever writes a Secret makes them."""
_DOCKER_HUB_KEYS = ("https://index.docker.io/v1/", "index.docker.io", "registry-1.docker.io")


@dataclass(frozen=True)
class Credential:
    """What a registry asks for: user and password, or a refresh token (`identity_token`) to trade in."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)


class CredentialSource(Protocol):
    """Anything that knows the credential of a registry."""

    async def credential_for(self, registry: str, repository: str) -> Credential | None:
        """The credential to use for a repository, or none to go on anonymously."""
        ...


class Anonymous:
    """Knows no credential."""

    async def credential_for(self, registry: str, repository: str) -> Credential | None:
        """None, for every registry."""
        return None


@dataclass(frozen=True)
class StaticCredentials:
    """Credentials by registry; a key may hold wildcards in its labels and a path, as Kubernetes pull secrets do."""

    by_registry: Mapping[str, Credential]

    async def credential_for(self, registry: str, repository: str) -> Credential | None:
        """See `find`."""
        return self.find(registry, repository)

    def find(self, registry: str, repository: str) -> Credential | None:
        """The credential of the most exact key: an exact host before a wildcard, a longer path before a shorter one."""
        matching = [key for key in self.by_registry if _matches(key, registry, repository)]
        return self.by_registry[max(matching, key=_exactness)] if matching else None


@dataclass(frozen=True)
class DockerConfig:
    """A docker `config.json` or podman `auth.json`: its `auths`, `credHelpers` and `credsStore`."""

    content: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path) -> "DockerConfig":
        """Read the file; a missing one knows no credential.

        Raises:
            SpecError: The file is not a JSON object.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return cls({})
        except ValueError as error:
            raise SpecError(f"registry credentials in {path} are not JSON: log in again") from error
        if not isinstance(content, dict):
            raise SpecError(f"registry credentials in {path} are not a JSON object: log in again")
        return cls(content)

    async def credential_for(self, registry: str, repository: str) -> Credential | None:
        """Ask the registry's own helper, else the entries of the file, else the helper for all registries."""
        helper = (self.content.get("credHelpers") or {}).get(registry)
        if helper:
            return await _ask_helper(helper, registry)
        static = await pull_secret(self.content).credential_for(registry, repository)
        store = self.content.get("credsStore")
        if static is None and store:
            return await _ask_helper(store, _DOCKER_HUB_KEYS[0] if registry == DEFAULT_REGISTRY else registry)
        return static


@dataclass(frozen=True)
class ChainedCredentials:
    """Several sources; the first that knows the registry answers."""

    sources: Sequence[CredentialSource]

    async def credential_for(self, registry: str, repository: str) -> Credential | None:
        """The first credential that a source knows."""
        for source in self.sources:
            credential = await source.credential_for(registry, repository)
            if credential:
                return credential
        return None


def default_credentials(environment: Mapping[str, str] = os.environ) -> CredentialSource:
    """What docker and podman would use here: their files, in their order of precedence."""
    home = Path(environment.get("HOME") or Path.home())
    candidates = [Path(environment["REGISTRY_AUTH_FILE"])] if environment.get("REGISTRY_AUTH_FILE") else []
    if environment.get("XDG_RUNTIME_DIR"):
        candidates.append(Path(environment["XDG_RUNTIME_DIR"]) / "containers" / "auth.json")
    candidates.append(Path(environment.get("DOCKER_CONFIG") or home / ".docker") / "config.json")
    return ChainedCredentials([DockerConfig.read(path) for path in candidates])


def pull_secret(content: Mapping[str, Any]) -> StaticCredentials:
    """The credentials of a `kubernetes.io/dockerconfigjson` secret, already parsed from JSON.

    Raises:
        SpecError: An entry is not what the format asks for.
    """
    auths = content.get("auths") or {}
    if not isinstance(auths, Mapping) or not all(isinstance(entry or {}, Mapping) for entry in auths.values()):
        raise SpecError("registry credentials: auths must be a mapping from registry to credential")
    return StaticCredentials({_registry_key(key): _entry(key, value or {}) for key, value in auths.items()})


def _entry(registry: str, entry: Mapping[str, Any]) -> Credential:
    username, password = str(entry.get("username") or ""), str(entry.get("password") or "")
    if entry.get("auth") and not username:
        try:
            username, _, password = base64.b64decode(str(entry["auth"]), validate=True).decode().partition(":")
        except ValueError:
            raise SpecError(f"registry credentials for {registry}: auth is not base64 of user:password") from None
    return Credential(username, password, str(entry.get("identitytoken") or entry.get("registrytoken") or ""))


def _registry_key(key: str) -> str:
    if key in _DOCKER_HUB_KEYS:
        return DEFAULT_REGISTRY
    return key.removeprefix("https://").removeprefix("http://").rstrip("/")


def _matches(key: str, registry: str, repository: str) -> bool:
    host, _, path = key.partition("/")
    if path in {"v1", "v2"}:  # left there by old logins; no part of a repository's name
        path = ""
    pattern, labels = host.split("."), registry.split(".")
    if len(pattern) != len(labels):
        return False
    hosts = all(
        len(part) <= _LONGEST_LABEL and fnmatch.fnmatchcase(label, part)
        for label, part in zip(labels, pattern, strict=True)
    )
    return hosts and (not path or repository == path or repository.startswith(path + "/"))


def _exactness(key: str) -> tuple[bool, int, str]:
    return "*" not in key, len(key), key


async def _ask_helper(name: str, registry: str) -> Credential | None:
    try:
        helper = await asyncio.create_subprocess_exec(
            f"docker-credential-{name}",
            "get",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError as error:
        raise SpecError(f"registry {registry}: cannot start the credential helper docker-credential-{name}") from error
    try:
        output, _ = await asyncio.wait_for(helper.communicate(registry.encode()), _HELPER_DEADLINE)
    except TimeoutError:
        helper.kill()
        await helper.wait()
        raise AccessDenied(
            f"registry {registry}: the credential helper docker-credential-{name} did not answer"
        ) from None
    if helper.returncode != 0:
        if _NOT_FOUND in output.decode(errors="replace"):
            return None
        raise AccessDenied(f"registry {registry}: docker-credential-{name} gave no credential, log in again")
    try:
        answer = json.loads(output)
        username, secret = str(answer["Username"]), str(answer["Secret"])
    except (ValueError, KeyError, TypeError):
        raise AccessDenied(f"registry {registry}: docker-credential-{name} did not answer in its protocol") from None
    return Credential(identity_token=secret) if username == _TOKEN_USER else Credential(username, secret)
