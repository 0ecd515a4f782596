import base64
import json
import os
from pathlib import Path

import pytest

from confidential_summarizer.errors import AccessDenied, SpecError
from confidential_summarizer.registry import Credential, DockerConfig, default_credentials, pull_secret


def auth(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()


async def test_a_pull_secret_gives_the_credential_of_its_registry() -> None:
    secret = pull_secret({"auths": {"party1.azurecr.io": {"auth": auth("u", "p:with:colons")}}})
    assert await secret.credential_for("party1.azurecr.io", "app") == Credential("u", "p:with:colons")
    assert await secret.credential_for("party2.azurecr.io", "app") is None


@pytest.mark.parametrize(
    ("key", "registry", "repository", "fits"),
    [
        ("*.azurecr.io", "party1.azurecr.io", "app", True),
        ("*.azurecr.io", "a.b.azurecr.io", "app", False),
        (f"{'*' * 64}.azurecr.io", "party1.azurecr.io", "app", False),
        ("https://x.io/v2/", "x.io", "any/thing", True),
        ("x.io/team", "x.io", "team/app", True),
        ("x.io/team", "x.io", "teammates/app", False),
        ("https://index.docker.io/v1/", "docker.io", "library/redis", True),
    ],
)
async def test_keys_of_a_pull_secret_match_as_kubelets_match_them(
    key: str, registry: str, repository: str, fits: bool
) -> None:
    secret = pull_secret({"auths": {key: {"username": "u", "password": "p"}}})
    assert (await secret.credential_for(registry, repository) is not None) == fits


async def test_the_most_exact_key_wins() -> None:
    names = ["*.x.io", "a.x.io", "a.x.io/team"]
    secret = pull_secret({"auths": {name: {"username": name, "password": "p"} for name in names}})
    found = await secret.credential_for("a.x.io", "team/app")
    assert found is not None
    assert found.username == "a.x.io/team"


def test_a_malformed_pull_secret_is_refused_without_showing_it() -> None:
    with pytest.raises(SpecError) as caught:
        pull_secret({"auths": {"x.io": {"auth": "c2VjcmV0IQ==*"}}})
    assert "x.io" in str(caught.value)
    assert "c2VjcmV0" not in str(caught.value)


def test_a_credential_does_not_print_its_secrets() -> None:
    assert "hunter2" not in repr(Credential("u", "hunter2", "hunter2"))


def helper(folder: Path, name: str, script: str) -> None:
    path = folder / f"docker-credential-{name}"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.fixture
def helpers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return tmp_path


async def test_a_credential_helper_is_asked_on_its_standard_input(helpers: Path) -> None:
    helper(
        helpers,
        "fake",
        'read -r name; printf \'{"ServerURL":"%s","Username":"<token>","Secret":"%s"}\' "$name" "for-$name"',
    )
    config = DockerConfig({"credHelpers": {"x.io": "fake"}, "auths": {"x.io": {"username": "no", "password": "no"}}})
    assert await config.credential_for("x.io", "app") == Credential(identity_token="for-x.io")


async def test_a_helper_that_knows_nothing_leaves_the_registry_anonymous(helpers: Path) -> None:
    helper(helpers, "none", 'echo "credentials not found in native keychain"; exit 1')
    assert await DockerConfig({"credsStore": "none"}).credential_for("x.io", "app") is None


async def test_a_helper_that_fails_is_named_in_the_refusal(helpers: Path) -> None:
    helper(helpers, "bad", "exit 3")
    with pytest.raises(AccessDenied, match="docker-credential-bad"):
        await DockerConfig({"credsStore": "bad"}).credential_for("x.io", "app")


async def test_podmans_file_goes_before_dockers(tmp_path: Path) -> None:
    podman, docker = tmp_path / "containers", tmp_path / "docker"
    for folder, name, user in ((podman, "auth.json", "podman"), (docker, "config.json", "docker")):
        folder.mkdir()
        content = {
            "auths": {"x.io": {"auth": auth(user, "p")}}
            | ({"y.io": {"auth": auth(user, "p")}} if user == "docker" else {})
        }
        (folder / name).write_text(json.dumps(content))
    source = default_credentials(
        {"XDG_RUNTIME_DIR": str(tmp_path), "DOCKER_CONFIG": str(docker), "HOME": str(tmp_path)}
    )
    users = [await source.credential_for(registry, "app") for registry in ("x.io", "y.io", "z.io")]
    assert [user and user.username for user in users] == ["podman", "docker", None]
