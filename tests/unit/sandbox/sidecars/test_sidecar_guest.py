import base64
import json
import logging

import pytest

from attested_release.errors import ReleaseError
from attested_release.guest import Guest, SecurityContext, device_report
from attested_release.identity import vault_audience
from attested_release.logs import LevelError, set_up_logs
from encfs.__main__ import run

TCB = 0x7308000000000003
HOST = {"vcekCert": "VCEK\n", "certificateChain": "ASK\nARK\n", "tcbm": f"{TCB:016X}", "cacheControl": "86400"}


def encoded(data):
    return base64.b64encode(data).decode()


@pytest.fixture
def files(tmp_path):
    directory = tmp_path / "security-context-1234"
    directory.mkdir()
    (directory / "host-amd-cert-base64").write_text(encoded(json.dumps(HOST).encode()) + "\n")
    (directory / "reference-info-base64").write_text(encoded(b"COSE"))
    (directory / "security-policy-base64").write_text(encoded(b"package policy"))
    return directory


def report(tcb):
    return bytes(384) + tcb.to_bytes(8, "little") + bytes(1184 - 392)


def test_the_security_context_is_found_in_the_folder_that_the_variable_names(files, tmp_path):
    context = SecurityContext.load({"UVM_SECURITY_CONTEXT_DIR": str(files)}, tmp_path / "elsewhere")

    assert context == SecurityContext(b"VCEK\nASK\nARK\n", TCB, b"COSE", b"package policy")


def test_without_the_variable_the_folder_is_found_by_its_name(files, tmp_path):
    assert SecurityContext.load({}, tmp_path).policy == b"package policy"


def test_without_a_folder_the_variables_hold_the_values(tmp_path):
    environment = {
        "UVM_HOST_AMD_CERTIFICATE": encoded(json.dumps(HOST).encode()),
        "UVM_SECURITY_POLICY": encoded(b"package policy"),
    }

    context = SecurityContext.load(environment, tmp_path)

    assert (context.tcb, context.reference_info) == (TCB, b"")


def test_a_missing_file_of_the_security_context_is_an_error_with_its_place(files):
    (files / "reference-info-base64").unlink()

    with pytest.raises(ReleaseError, match=r"security-context-1234 cannot be read \(No such file"):
        SecurityContext.load({"UVM_SECURITY_CONTEXT_DIR": str(files)})


def test_a_damaged_certificate_document_is_an_error(files):
    (files / "host-amd-cert-base64").write_text(encoded(b"{}"))

    with pytest.raises(ReleaseError, match="AMD certificates"):
        SecurityContext.load({"UVM_SECURITY_CONTEXT_DIR": str(files)})


def test_the_report_is_asked_for_with_the_hash_of_the_runtime_data_and_32_zeros():
    asked = []
    Guest(SecurityContext(b"", TCB, b"", b""), lambda data: asked.append(data) or report(TCB)).report(b"")

    assert asked[0].hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" + "00" * 32


def test_a_report_for_other_firmware_than_the_certificates_is_refused():
    with pytest.raises(ReleaseError, match="firmware versions"):
        Guest(SecurityContext(b"", TCB, b"", b""), lambda _: report(TCB - 1)).report(b"data")


def test_without_a_secure_processor_there_is_no_report(tmp_path):
    with pytest.raises(ReleaseError, match="no secure processor"):
        device_report(bytes(64), tmp_path / "sev-guest")


def test_a_device_of_another_kind_gives_no_report(tmp_path):
    (tmp_path / "sev-guest").touch()
    with pytest.raises(ReleaseError, match="no secure processor"):
        device_report(bytes(64), tmp_path / "sev-guest")


@pytest.mark.parametrize(
    ("vault", "audience"),
    [
        ("party2.managedhsm.azure.net", "https://managedhsm.azure.net"),
        ("party2.vault.azure.net", "https://vault.azure.net"),
    ],
)
def test_the_vaults_host_name_chooses_the_audience(vault, audience):
    assert vault_audience(vault) == audience


@pytest.fixture
def own_logging():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.usefixtures("own_logging")
def test_an_unknown_log_level_ends_the_sidecars_work(tmp_path):
    log = tmp_path / "log"

    assert not run({"LogLevel": "loud", "LogFile": str(log)})
    assert "LogLevel is none of trace, debug" in log.read_text()
    with pytest.raises(LevelError):
        set_up_logs({"LogLevel": "loud"})


@pytest.mark.usefixtures("own_logging")
def test_arguments_that_cannot_be_read_are_one_line_in_the_log_without_them(tmp_path):
    log = tmp_path / "log"

    assert not run({"EncfsSideCarArgs": "cGxhbnRlZA==", "LogFile": str(log)})

    (line,) = log.read_text().splitlines()
    assert 'level=fatal msg="EncfsSideCarArgs is not padded' in line
    assert "cGxhbnRlZA" not in line
    assert "planted" not in line
