"""The Go module of the sandbox's programs: its own tests, and what answers to each name."""

import os
import subprocess

import pytest

from azure_sandbox.built_programs import HELM_VERSION, KUBERNETES_VERSION, MODULE
from azure_sandbox.golang import build, find_go

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def folder():
    return build(MODULE, dict(os.environ), lambda _: None)


def answer(program, *arguments):
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False)


def test_the_modules_own_tests_pass(folder):
    """With the flags of the build, so that nothing is compiled once more; `cluster` would vet all of Kubernetes."""
    go, settings = find_go(dict(os.environ), print), MODULE.settings(os.environ)
    done = subprocess.run(
        [go, "test", "./guest/...", "./virtualnode/..."],
        cwd=MODULE.source,
        env=settings,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["kube-apiserver", "kube-controller-manager", "kube-scheduler"])
def test_each_part_of_the_control_plane_names_its_version(folder, name):
    assert answer(folder / name, "--version").stdout == f"Kubernetes v{KUBERNETES_VERSION}\n"


def test_the_programs_for_people_name_their_versions(folder):
    assert f"Client Version: v{KUBERNETES_VERSION}" in answer(folder / "kubectl", "version", "--client").stdout
    assert answer(folder / "helm", "version", "--template", "{{.Version}}").stdout == f"v{HELM_VERSION}"
    assert "etcd Version: " in answer(folder / "etcd", "--version").stdout
    assert "-kubeconfig" in answer(folder / "virtualnode", "-h").stderr


def test_helm_fails_with_its_own_exit_code(folder, tmp_path):
    assert answer(folder / "helm", "lint", tmp_path).returncode == 1


def test_a_name_that_nothing_answers_to_is_refused(folder):
    done = answer(folder / "cluster")
    assert done.returncode == 2
    assert "cluster" in done.stderr
