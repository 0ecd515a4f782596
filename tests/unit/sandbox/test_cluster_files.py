"""Certificates, kubeconfigs, programs and builds of the control plane, without starting it."""

import base64
import datetime as dt
import re
import stat

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import PolicyBuilder, Store

from azure_sandbox import cluster_certificates
from azure_sandbox.built_programs import HELM_VERSION, KUBERNETES_VERSION, MODULE
from azure_sandbox.cluster_certificates import ClusterCertificates
from azure_sandbox.golang import GoModule, build
from azure_sandbox.kubeconfig import read_kubeconfig, write_kubeconfig
from confidential_summarizer.errors import SpecError


@pytest.fixture
def certificates(tmp_path):
    return ClusterCertificates(tmp_path / "pki")


def load(path):
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_a_server_certificate_is_good_for_loopback_and_for_the_clusters_names(certificates):
    leaf = certificates.server("kube-apiserver")
    verifier = PolicyBuilder().store(Store([load(certificates.authority)]))
    for name in (x509.DNSName("localhost"), x509.DNSName("kubernetes.default.svc")):
        verifier.build_server_verifier(name).verify(load(leaf.certificate), [])
    names = load(leaf.certificate).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "10.96.0.1"]


def test_a_client_certificate_names_user_and_groups_and_serves_nobody(certificates):
    leaf = load(certificates.client("kubernetes-admin", ["system:masters"]).certificate)
    assert [entry.value for entry in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == ["kubernetes-admin"]
    assert [entry.value for entry in leaf.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)] == [
        "system:masters"
    ]
    usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]


def test_certificates_are_kept_and_renewed_before_they_end(certificates, monkeypatch):
    first = certificates.client("system:kube-scheduler").certificate.read_bytes()
    assert certificates.client("system:kube-scheduler").certificate.read_bytes() == first
    monkeypatch.setattr(cluster_certificates, "RENEW_BEFORE", cluster_certificates.LEAF_LIFETIME + dt.timedelta(days=1))
    assert certificates.client("system:kube-scheduler").certificate.read_bytes() != first


def test_private_keys_are_for_their_owner_only(certificates):
    certificates.server("etcd")
    keys = [*certificates.folder.glob("*.key"), certificates.service_account_keys().key]
    assert {stat.S_IMODE(key.stat().st_mode) for key in keys} == {0o600}


def test_service_accounts_have_a_matching_pair_that_stays(certificates):
    pair = certificates.service_account_keys()
    private = serialization.load_pem_private_key(pair.key.read_bytes(), None)
    public = serialization.load_pem_public_key(pair.certificate.read_bytes())
    assert private.public_key() == public
    assert certificates.service_account_keys() == pair
    assert serialization.load_pem_private_key(pair.key.read_bytes(), None).public_key() == public


def test_a_kubeconfig_holds_everything_and_is_private(certificates, tmp_path):
    leaf = certificates.client("somebody")
    path = tmp_path / "kubeconfig"
    write_kubeconfig(path, "https://127.0.0.1:1", certificates.authority, "somebody", leaf)
    document = read_kubeconfig(path)
    assert document["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:1"
    assert base64.b64decode(document["users"][0]["user"]["client-key-data"]) == leaf.key.read_bytes()
    assert document["current-context"] == document["contexts"][0]["name"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("content", ["{", "[]", "apiVersion: v1", yaml.safe_dump({"current-context": ""})])
def test_a_kubeconfig_that_leads_nowhere_is_refused(tmp_path, content):
    (tmp_path / "kubeconfig").write_text(content)
    with pytest.raises(SpecError, match="kubeconfig"):
        read_kubeconfig(tmp_path / "kubeconfig")


def test_the_versions_are_those_of_the_go_module():
    text = (MODULE.source / "go.mod").read_text()
    assert f"k8s.io/kubernetes v{KUBERNETES_VERSION}\n" in text
    assert f"helm.sh/helm/v4 v{HELM_VERSION}\n" in text


def test_the_names_are_those_that_the_program_knows():
    known = re.findall(r'^\t"([a-z-]+)": ', (MODULE.source / "cluster" / "main.go").read_text(), re.MULTILINE)
    assert sorted(known) == sorted(MODULE.links["cluster"])


def test_a_build_is_found_by_what_it_was_built_from(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    source = tmp_path / "source"
    source.mkdir()
    (source / "go.mod").write_text("module example\n")
    (source / "main.go").write_text("package main\n")
    module = GoModule("thing", "1.2.3", source)
    first = module.output
    assert first.name.startswith("thing-1.2.3-")
    (source / "main_test.go").write_text("package main\n")
    assert module.output == first
    (source / "main.go").write_text("package main // changed\n")
    assert module.output != first
    assert GoModule("thing", "1.2.3", source, linker_flags="").output != module.output
    assert GoModule("thing", "1.2.3", source, links={"thing": ["other"]}).output != module.output


def test_a_cached_build_needs_no_go(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    MODULE.output.mkdir(parents=True)
    assert build(MODULE, {}, print) == MODULE.output


def test_a_build_without_its_source_says_where_to_get_it(tmp_path):
    with pytest.raises(SpecError, match="run from a checkout"):
        build(GoModule("thing", "1", tmp_path), {}, print)
