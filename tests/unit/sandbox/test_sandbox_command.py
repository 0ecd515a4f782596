import json
import subprocess

import pytest
from click.testing import CliRunner

from azure_sandbox.command import sandbox
from azure_sandbox.faults import KINDS
from azure_sandbox.state import SandboxState
from confidential_summarizer.errors import SpecError, TransientError


@pytest.fixture
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("CSUM_SANDBOX_HOME", str(tmp_path / "the home"))
    state = SandboxState.from_environment()
    state.prepare()
    return state


def run(*arguments):
    return CliRunner().invoke(sandbox, arguments)


def test_status_of_a_stopped_sandbox_is_a_no(state):
    result = run("status", "-o", "json")
    assert result.exit_code == 1
    assert {process["condition"] for process in json.loads(result.stdout)} == {"stopped"}
    assert "kube-apiserver" in run("status").stdout


def test_env_is_a_script_that_a_shell_can_evaluate(state):
    script = run("env", "--as", "operator").stdout
    assert "The sandbox is not up" not in script
    shell = f'{script}\necho "$HTTPS_PROXY|$KUBECONFIG|$SSL_CERT_FILE|$AZURE_CLIENT_ID|$PATH"'
    done = subprocess.run(
        ["/bin/sh", "-c", shell], capture_output=True, text=True, check=True, env={"PATH": "/usr/bin"}
    )
    proxy, kubeconfig, bundle, client, path = done.stdout.strip().split("|")
    assert proxy == state.proxy_url
    assert kubeconfig == str(state.kubeconfig)
    assert bundle == str(state.ca_bundle)
    assert path == f"{state.bin}:/usr/bin"
    assert client not in run("env", "--as", "owner").stdout


def test_a_shell_that_evaluated_env_finds_csum_and_lets_curl_trust_the_sandbox(state):
    shell = f'{run("env").stdout}\ncsum --version && kubectl-csum --version && echo "$CURL_CA_BUNDLE"'
    done = subprocess.run(
        ["/bin/sh", "-c", shell], capture_output=True, text=True, check=True, env={"PATH": "/usr/bin:/bin"}
    )
    assert done.stdout.count("version") == 2
    assert done.stdout.splitlines()[-1] == str(state.ca_bundle)


def test_env_of_a_sandbox_that_is_not_up_says_how_to_start_it(state):
    assert "The sandbox is not up: start it with `csum sandbox up`" in run("env").stderr


def test_envs_help_shows_the_line_to_type_and_how_to_leave():
    help_text = run("env", "--help").stdout
    assert 'eval "$(csum sandbox env)"' in help_text
    assert "end that shell" in " ".join(help_text.split())
    assert "\\b" not in help_text


def test_env_knows_only_the_sandboxs_applications(state):
    assert isinstance(run("env", "--as", "stranger").exception, SpecError)


def test_logs_shows_the_end_of_a_log(state):
    state.log("etcd").write_text("one\ntwo\nthree\n")
    assert run("logs", "etcd", "-n", "2").stdout == "two\nthree\n"
    assert run("logs", "etcd", "-n", "0").stdout == ""
    assert isinstance(run("logs", "nothing").exception, SpecError)


def test_down_can_remove_everything(state):
    result = run("down", "--remove")
    assert result.exit_code == 0
    assert result.stdout == ""
    assert "The sandbox is down." in result.stderr
    assert not state.home.exists()


def test_a_kubeconfig_that_is_not_there_is_a_wrong_command_line(state):
    assert run("up", "--kubeconfig", "/nowhere").exit_code == 2


def test_a_fault_needs_a_running_sandbox_a_service_and_a_kind_that_exist(state):
    missing = run("fault", "add", "vault", "throttled")
    assert isinstance(missing.exception, TransientError)
    assert "csum sandbox up" in str(missing.exception)
    assert "'resource-manager'" in run("fault", "add", "moon", "throttled").stderr
    assert run("fault", "add", "vault", "throttled", "--chance", "2").exit_code == 2


def test_the_help_of_faults_says_what_each_kind_does():
    help_text = " ".join(run("fault", "add", "--help").stdout.split())
    for kind, (what, _) in KINDS.items():
        assert kind in help_text
        assert what.split(",")[0] in help_text
