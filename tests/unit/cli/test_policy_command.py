"""`csum policy` from end to end, with images from an archive."""

import base64
import hashlib
import json
import tarfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from confidential_summarizer.cli.policy import policy
from confidential_summarizer.policy.parsing import parse_policy
from confidential_summarizer.policy.virtual_node import POLICY_ANNOTATION
from tests.support.images import root_hash
from tests.support.tars import Entry, tar

LAYER = tar(Entry(b"usr/", b"5"), Entry(b"usr/app", data=b"app" * 1000))
REFERENCE = "x.io/app:1"
MANIFEST = """\
apiVersion: v1
kind: Pod
metadata:
  name: demo  # kept
spec:
  containers:
  - name: app
    image: x.io/app:1
    env:
    - {name: MODE, value: strict}
"""
TEMPLATE = {
    "parameters": {"image": {"type": "string"}},
    "resources": [
        {
            "type": "Microsoft.ContainerInstance/containerGroups",
            "name": "group",
            "properties": {"containers": [{"name": "app", "properties": {"image": "[parameters('image')]"}}]},
        }
    ],
}

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in an empty folder with an image archive in it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    config = {
        "os": "linux",
        "architecture": "amd64",
        "config": {"Cmd": ["/usr/app"]},
        "rootfs": {"diff_ids": [f"sha256:{hashlib.sha256(LAYER).hexdigest()}"]},
    }
    manifest = [{"Config": "c.json", "RepoTags": [REFERENCE], "Layers": ["layer.tar"]}]
    files = {"c.json": json.dumps(config).encode(), "layer.tar": LAYER, "manifest.json": json.dumps(manifest).encode()}
    with tarfile.open(tmp_path / "images.tar", "w") as out:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            out.addfile(info, BytesIO(data))
    (tmp_path / "pod.yaml").write_text(MANIFEST)
    (tmp_path / "arm.json").write_text(json.dumps(TEMPLATE))
    (tmp_path / "parameters.json").write_text(json.dumps({"parameters": {"image": {"value": REFERENCE}}}))

    def command(*arguments: str, code: int = 0, **more: str) -> Result:
        result = CliRunner().invoke(policy, arguments, catch_exceptions=False, **more)  # type: ignore[arg-type]
        assert result.exit_code == code, result.output
        return result

    return command


def test_a_pod_gets_its_policy_and_keeps_its_comments(run: Run) -> None:
    result = run("generate", "pod.yaml", "--tar", "images.tar")
    text = Path("pod.yaml").read_text()
    assert "name: demo  # kept" in text
    written = base64.b64decode(yaml.safe_load(text)["metadata"]["annotations"][POLICY_ANNOTATION])
    assert result.stdout == hashlib.sha256(written).hexdigest() + "\n"
    assert parse_policy(written.decode()).containers[0].layers == (root_hash(LAYER),)


def test_generating_twice_changes_nothing(run: Run) -> None:
    first = run("generate", "pod.yaml", "--tar", "images.tar")
    text = Path("pod.yaml").read_text()
    assert run("generate", "pod.yaml", "--tar", "images.tar").stdout == first.stdout
    assert Path("pod.yaml").read_text() == text


def test_a_template_gets_its_policy_with_its_parameters(run: Run) -> None:
    result = run("generate", "-a", "arm.json", "-p", "parameters.json", "--tar", "images.tar", "--to", "-")
    properties = json.loads(result.stdout)["resources"][0]["properties"]
    written = base64.b64decode(properties["confidentialComputeProperties"]["ccePolicy"])
    assert hashlib.sha256(written).hexdigest() in result.stderr
    assert json.loads(Path("arm.json").read_text()) == TEMPLATE


def test_policies_can_be_printed_in_three_forms(run: Run) -> None:
    raw = run("generate", "pod.yaml", "--tar", "images.tar", "--outraw").stdout
    encoded = run("generate", "pod.yaml", "--tar", "images.tar", "--print-policy").stdout
    pretty = run("generate", "pod.yaml", "--tar", "images.tar", "--outraw-pretty-print").stdout
    assert base64.b64decode(encoded).decode() == raw.removesuffix("\n")
    assert parse_policy(pretty.removesuffix("\n")) == parse_policy(raw.removesuffix("\n"))
    assert Path("pod.yaml").read_text() == MANIFEST


def test_a_file_is_compared_with_the_policy_that_it_carries(run: Run) -> None:
    run("generate", "pod.yaml", "--tar", "images.tar")
    assert "Both allow the same" in run("generate", "pod.yaml", "--tar", "images.tar", "--diff").stderr
    Path("pod.yaml").write_text(Path("pod.yaml").read_text().replace("strict", "lax"))
    assert "MODE=strict" in run("generate", "pod.yaml", "--tar", "images.tar", "--diff", code=1).stdout


def test_show_says_what_a_policy_allows(run: Run) -> None:
    raw = run("generate", "pod.yaml", "--tar", "images.tar", "--outraw", "--debug-mode").stdout
    Path("policy.rego").write_text(raw)
    shown = json.loads(run("show", "policy.rego", "-o", "json").stdout)
    assert shown["debug"] is True
    assert shown["containers"][0]["command"] == ["/usr/app"]
    assert "MODE=strict" in run("show", "policy.rego").stdout
    assert run("show", "policy.rego", "--words").stdout.startswith("DEBUG")


def test_diff_compares_by_meaning(run: Run) -> None:
    for name, options in {"a": (), "b": ("--disable-stdio",)}.items():
        Path(f"{name}.rego").write_text(run("generate", "pod.yaml", "--tar", "images.tar", "--outraw", *options).stdout)
    pretty = run("generate", "pod.yaml", "--tar", "images.tar", "--outraw-pretty-print").stdout
    Path("pretty.b64").write_text(base64.b64encode(pretty.removesuffix("\n").encode()).decode())
    run("diff", "a.rego", "pretty.b64")
    found = json.loads(run("diff", "a.rego", "b.rego", "-o", "json", code=1).stdout)
    assert {item["field"] for item in found} == {"allow_stdio_access"}


def test_verify_derives_the_policy_again(run: Run) -> None:
    Path("p.rego").write_text(run("generate", "pod.yaml", "--tar", "images.tar", "--outraw", "--disable-stdio").stdout)
    assert "the same bytes" in run("verify", "p.rego", "--against", "pod.yaml", "--tar", "images.tar").stderr
    Path("p.rego").write_text(Path("p.rego").read_text().replace("MODE=strict", "MODE=.+"))
    assert "MODE=" in run("verify", "p.rego", "--against", "pod.yaml", "--tar", "images.tar", code=1).stdout


def test_explain_decodes_a_refusal_from_a_message_a_file_or_standard_input(run: Run) -> None:
    refusal = {"decision": "deny", "input": {"rule": "create_container"}, "reason": {"errors": ["invalid command"]}}
    blob = base64.b64encode(json.dumps(refusal).encode()).decode()
    message = f"denied due to policy: policyDecision< {blob} >policyDecision"
    Path("event.txt").write_text(message)
    answers = [run("explain", text, "-o", "json").stdout for text in (message, blob, "event.txt")]
    answers.append(run("explain", "-", "-o", "json", input=message).stdout)
    assert len(set(answers)) == 1
    assert json.loads(answers[0])["reasons"][0]["error"] == "invalid command"
    run("explain", "all is well", code=1)


def test_layers_prints_the_hashes_of_archives_and_single_layers(run: Run) -> None:
    Path("layer.tar").write_bytes(LAYER)
    rows = json.loads(run("layers", "images.tar", "layer.tar", "-o", "json").stdout)
    assert [row["root_hash"] for row in rows] == [root_hash(LAYER)] * 2
    assert rows[0]["diff_id"] == f"sha256:{hashlib.sha256(LAYER).hexdigest()}"


def test_lint_warns_and_answers_with_one(run: Run) -> None:
    found = json.loads(run("lint", "pod.yaml", "--tar", "images.tar", "-o", "json", code=1).stdout)
    assert [finding["rule"] for finding in found] == ["tag"]
    Path("bare.tar").write_bytes(tar(Entry(b"usr/bin/x")))
    assert json.loads(run("lint", "bare.tar", "-o", "json", code=1).stdout)[0]["rule"] == "missing-parent"
    Path("good.tar").write_bytes(LAYER)
    run("lint", "good.tar")


def test_a_wrong_command_line_is_told_from_a_wrong_file(run: Run) -> None:
    run("generate", code=2)
    run("generate", "pod.yaml", "-a", "arm.json", code=2)
