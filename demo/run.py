"""`make demo`: from sealed text to its summaries, with the commands that people would type, on one machine.

Two people appear. The data owner seals and pushes the text and decides over its key; the cluster admin installs the
chart and applies a resource. Every command is printed before it runs.
"""

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import yaml

from azure_sandbox import lifecycle
from azure_sandbox.azure.principals import OWNER, Principals
from azure_sandbox.names import ATTESTATION, BLOB_HOST, LOGIN, RESULTS, SEALED, TENANT, VAULT
from azure_sandbox.progress import Report, SideBySide, now_and_then
from azure_sandbox.state import SandboxState
from confidential_summarizer.api.names import GRANT_PLURAL, GROUP
from confidential_summarizer.cli.results import read_identities
from confidential_summarizer.errors import SummarizerError, TransientError
from confidential_summarizer.sealing import read_manifest
from demo import operator_process
from demo.images import SUMMARIZER_IMAGE, TAG, build_images, download
from demo.look_alike import look_alike
from demo.model import prepare_model

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
RESOURCE = EXAMPLES / "contracts.yaml"
GRANT = EXAMPLES / "grant.yaml"
NAMESPACE, NAME = "legal", "contracts"
SYSTEM_NAMESPACE = "confidential-summarizer"
READY_SECONDS = 300
"""Longest wait for Ready; a second run needs far less, a busy machine with a cold cache does not."""
CONTAINER = f"https://{BLOB_HOST}/{SEALED}"
PREFIX = f"https://{BLOB_HOST}/{RESULTS}/{NAME}/"


@dataclass(frozen=True)
class Demo:
    """One run of the demo in one sandbox."""

    state: SandboxState
    started: float

    def run(self, model: str | None) -> bool:
        """Run it all; True if every document has a summary made from sealed text."""
        self.say("Starting the sandbox: Kubernetes, a registry, blobs, and stand-ins for what only Azure has")
        with SideBySide(self.progress) as parts:
            parts.start(partial(lifecycle.up, self.state))
            parts.start(partial(download, self.state))
        self.say("Building and pushing the images")
        image = build_images(self.state, self.progress)
        name = self.prepare_data(model)
        self.install(image, name)
        return self.deploy()

    def prepare_data(self, model: str | None) -> str | None:
        """Be the data owner: seal and push the documents and the models; return the name of the user's own model."""
        work = self.state.home / "demo"
        work.mkdir(exist_ok=True)
        models, name = work / "models", None
        if model is not None:
            models, name = prepare_model(model, work, self.progress)
        else:
            copy_models(models)
        for image_name, folder in (("contracts", EXAMPLES / "documents"), ("models", models)):
            image, key, pin = (work / f"{image_name}.{kind}" for kind in ("img", "key", "pin"))
            content = read_manifest(folder).sha256
            if not image.exists() or not pin.exists() or pin.read_text() != content:
                image.unlink(missing_ok=True)
                self.say(f"The data owner seals {_relative(folder)}")
                self.owner("csum", "seal", folder, "--out", image, "--key", key)
                pin.write_text(content)
            self.owner("csum", "push", image, f"{CONTAINER}/{image_name}.img", "--create-container", "--overwrite")
        if not (work / "results.key").exists():
            self.say("The data owner makes the key that results are encrypted to")
            self.owner("csum", "results", "new-key", work / "results.key", "--create-container", PREFIX)
        return name

    def install(self, image: str, model: str | None) -> None:
        """Be the cluster admin: install the chart, then start the operator with the rights that it gives."""
        self.say("The cluster admin installs the chart")
        self.admin(
            "helm", "upgrade", "--install", "confidential-summarizer", ROOT / "charts" / "confidential-summarizer",
            "--namespace", SYSTEM_NAMESPACE, "--create-namespace",
            # No node of the sandbox runs pods of its own: the operator runs here, as the chart's service account.
            "--set", "replicas=0",
            quiet=True,
        )  # fmt: skip
        self.admin("kubectl", "wait", "--for=condition=Established", f"crd/{GRANT_PLURAL}.{GROUP}", quiet=True)
        self.admin("kubectl", "apply", "-f", GRANT)
        self.admin("kubectl", "create", "namespace", NAMESPACE, allow_failure=True, quiet=True)
        operator_process.start(self.state, SYSTEM_NAMESPACE)
        work = self.state.home / "demo"
        self.admin(
            "kubectl", "-n", NAMESPACE, "create", "secret", "generic", "models-key",
            f"--from-file=key={work / 'models.key'}", allow_failure=True, quiet=True,
        )  # fmt: skip
        self.admin(
            "kubectl", "-n", NAMESPACE, "label", "--overwrite", "secret", "models-key",
            "confidential.summarizer.dev/use=key", quiet=True,
        )  # fmt: skip
        resource = RESOURCE.read_text().replace(f"{SUMMARIZER_IMAGE}:{TAG}", image)
        (identity,) = read_identities(work / "results.key")
        resource = resource.replace("# output:", "output:").replace("age1…", str(identity.to_public()))
        if model is not None:
            resource = resource.replace("models: [bart-demo, t5-demo]", f"models: [{model}]")
            resource = resource.replace(_models_pin(resource), (work / "models.pin").read_text())
        (work / "contracts.yaml").write_text(resource)

    def deploy(self) -> bool:
        """Let the owner bind the key to the policy, apply the resource, and show what came of it."""
        work = self.state.home / "demo"
        self.say("The data owner derives the policy from the images and binds the key to it")
        derived = self.owner("csum", "render", work / "contracts.yaml", capture=True).stderr
        host_data = derived.split()[-1]
        self.owner(
            "csum", "key", "import", "contracts-key", "--key", work / "contracts.key", "--vault", VAULT,
            "--attestation", ATTESTATION, "--for", work / "contracts.yaml",
            "--expect-host-data", host_data, "--yes", "--new-version",
        )  # fmt: skip
        self.say("The cluster admin applies the resource")
        earlier = self.admin_output("kubectl", "-n", NAMESPACE, "get", "csum", NAME, "--ignore-not-found", "-o", "name")
        self.admin("kubectl", "apply", "-f", work / "contracts.yaml")
        if earlier:  # a run that was not ended: what the sidecar's tag meant then stays pinned until somebody asks anew
            self.admin("kubectl", "csum", "resolve", NAME, "-n", NAMESPACE, allow_failure=True)
        self.admin(
            "kubectl", "-n", NAMESPACE, "wait", "--for=condition=Ready", f"--timeout={READY_SECONDS}s", f"csum/{NAME}"
        )
        self.say(f"Ready after {time.monotonic() - self.started:.0f} s")
        self.admin("kubectl", "-n", NAMESPACE, "get", "csum", "-o", "wide")
        return self.show(host_data)

    def show(self, host_data: str) -> bool:
        """Print the conditions, the summaries that a reader gets, and what a look-alike page gets of a reader."""
        resource = json.loads(self.admin_output("kubectl", "-n", NAMESPACE, "get", "csum", NAME, "-o", "json"))
        for condition in resource["status"]["conditions"]:
            print(f"  {condition['type']:16} {condition['status']:8} {condition['reason']:16} {condition['message']}")
        url = resource["status"]["endpoint"]
        self.say("A reader opens a channel that ends in the group, which proves itself first")
        summaries = self.read(url, host_data)
        for summary in summaries:
            print(f"\n  {summary['document']}\n    {summary['summary']}")
        self.say("The data owner takes the results home, which storage cannot read")
        work = self.state.home / "demo"
        shutil.rmtree(work / "results", ignore_errors=True)
        self.owner(
            "csum", "results", "fetch", work / "contracts.yaml", "--identity", work / "results.key",
            "--out", work / "results",
        )  # fmt: skip
        self.say("An attacker's page passes on the group's evidence; the reader's answer to it")
        with look_alike(url) as forged:
            print(f"  {self.reader(forged, host_data).stderr.strip()}")
        self.say(f"The page, in a browser:\n  csum open {url} --host-data {host_data} --attestation {ATTESTATION}")
        expected = sum(1 for file in (EXAMPLES / "documents").iterdir() if file.suffix == ".txt")
        taken_home = len(list((work / "results").iterdir()))
        # Results of documents that were there before stay in storage.
        return len(summaries) == expected <= taken_home and all(s["summary"].strip() for s in summaries)

    def remove(self) -> None:
        """Delete the resource, which takes its groups along, and stop everything."""
        self.admin("kubectl", "-n", NAMESPACE, "delete", "csum", NAME, "--timeout=120s")
        lifecycle.down(self.state, self.progress)

    def owner(self, *command: object, capture: bool = False) -> subprocess.CompletedProcess[str]:
        """Run a command as the data owner, with their Azure identity and no rights in the cluster."""
        return self._run(command, self.environment_of(OWNER), quiet=capture)

    def environment_of(self, who: str) -> dict[str, str]:
        """Return what a client needs that signs in as an application and talks to the sandbox."""
        principal = Principals(self.state.home / "azure" / "principals.json")[who]
        return {
            **self.state.client_environment(),
            "AZURE_TENANT_ID": TENANT,
            "AZURE_CLIENT_ID": principal.client_id,
            "AZURE_CLIENT_SECRET": principal.secret or "",
            "AZURE_AUTHORITY_HOST": f"https://{LOGIN}",
        }

    def reader(self, url: str, host_data: str) -> subprocess.CompletedProcess[str]:
        """Ask a page for its summaries as somebody who knows nothing but what the data owner approved."""
        command = ("csum", "open", url, "--host-data", host_data, "--attestation", ATTESTATION)
        return self._run((*command, "--get", "/api/summaries"), {}, allow_failure=True, quiet=True)

    def read(self, url: str, host_data: str) -> list[dict[str, Any]]:
        """Return the summaries that a reader gets from a page.

        Raises:
            TransientError: The page did not prove itself, or does not answer.
        """
        answer = self.reader(url, host_data)
        if answer.returncode:
            raise TransientError(f"{url} shows a reader nothing: {answer.stderr}")
        found: list[dict[str, Any]] = json.loads(answer.stdout)["summaries"]
        return found

    def admin(self, *command: object, allow_failure: bool = False, quiet: bool = False) -> None:
        """Run a command as the cluster admin, with a kubeconfig and no rights in Azure."""
        self._run(command, {"KUBECONFIG": str(self.state.kubeconfig)}, allow_failure=allow_failure, quiet=quiet)

    def admin_output(self, *command: object) -> str:
        """Run a command as the cluster admin and return what it prints."""
        environment = self._environment({"KUBECONFIG": str(self.state.kubeconfig)})
        return subprocess.run(_words(command), env=environment, check=True, capture_output=True, text=True).stdout

    def say(self, text: str) -> None:
        """Print a headline with the seconds since the start."""
        print(f"\n[{time.monotonic() - self.started:4.0f} s] {text}", flush=True)

    @cached_property
    def progress(self) -> Report:
        """Prints a step; on a terminal each overwrites the one before."""
        if sys.stdout.isatty():
            width = shutil.get_terminal_size().columns - 3
            return lambda line: print(f"  {line[:width]:{width}}", end="\r", flush=True)
        return now_and_then(lambda line: print(f"  {line}", flush=True))

    def _run(
        self,
        command: Sequence[object],
        environment: Mapping[str, str],
        *,
        allow_failure: bool = False,
        quiet: bool = False,
    ) -> subprocess.CompletedProcess[str]:
        words = _words(command)
        shown = [_relative(Path(word)) if Path(word).is_absolute() and Path(word).exists() else word for word in words]
        print(f"  $ {shlex.join(shown)}", flush=True)
        result = subprocess.run(words, env=self._environment(environment), text=True, check=False, capture_output=quiet)
        if result.returncode and not allow_failure:
            tail = f"\n{result.stderr}" if quiet else ""
            raise TransientError(f"`{shlex.join(shown)}` ended with {result.returncode}{tail}")
        return result

    def _environment(self, environment: Mapping[str, str]) -> dict[str, str]:
        path = os.pathsep.join([str(Path(sys.executable).parent), str(self.state.bin), os.environ["PATH"]])
        return {**os.environ, **self.state.client_environment(), **environment, "PATH": path}


def copy_models(target: Path) -> None:
    """Copy the demo models alone: beside them lie the programs that made them."""
    for card in (EXAMPLES / "models").glob("*/MODEL.md"):
        shutil.copytree(card.parent, target / card.parent.name, dirs_exist_ok=True)


def _models_pin(resource: str) -> str:
    """The pin of the models in a resource's text."""
    file_systems = yaml.safe_load(resource)["spec"]["fileSystems"]
    return next(str(each["contentSHA256"]) for each in file_systems if each["role"] == "Models")


def _words(command: Sequence[object]) -> list[str]:
    return [str(word) for word in command]


def _relative(path: Path) -> str:
    return path.name if not path.is_relative_to(ROOT) else str(path.relative_to(ROOT))


def main() -> int:
    """Run the demo; 0 only if every document has its summary."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--once", action="store_true", help="remove the resource and stop everything afterwards")
    parser.add_argument("--model", help="model to use instead of the demo ones: directory or hub name")
    arguments = parser.parse_args()
    demo = Demo(SandboxState.from_environment(), time.monotonic())
    try:
        complete = demo.run(arguments.model)
        if arguments.once:
            demo.remove()
    except SummarizerError as error:
        hint = f"The logs are in {demo.state.logs}."
        if arguments.once:
            lifecycle.down(demo.state, demo.progress)
        else:
            hint += " `make demo-down` stops what runs."
        print(f"\nError: {error}\n{hint}", file=sys.stderr)
        return 1
    if not complete:
        print("\nError: a document has no summary", file=sys.stderr)
        return 1
    if not arguments.once:
        print('\n  kubectl:  eval "$(.venv/bin/csum sandbox env)"\n  stop:     make demo-down')
    return 0
