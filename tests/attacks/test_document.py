"""Whoever writes a document wants what lies beside it, or the summarizer to stop: it gets a reason with its number.

On the code before, .txt and .md were the only kinds, and one file that was no UTF-8 ended the work for all.
"""

import ast
import io
import os
import re
import shutil
import subprocess
import sys
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from starlette.responses import JSONResponse

from summarizer.documents import read_documents
from summarizer.export import plain
from summarizer.extraction.process import Limits, extract_apart
from summarizer.extraction.reasons import Reason, Unreadable
from summarizer.guard import Guard, apply_guard
from summarizer.text import sentences
from tests.support.confined import PYTHON_PREFIX, python_path
from tests.support.documents import docx, odt, paragraph, pdf, pdf_of

REPOSITORY = Path(__file__).parents[2]
SMALL = Limits(memory=400 * 1024 * 1024, seconds=2)
RESOURCE = {"too much": {Reason.TOO_MUCH_TEXT, Reason.TOO_MUCH_MEMORY, Reason.TOO_SLOW, Reason.BROKEN}}


def reason(suffix: str, data: bytes, limits: Limits = SMALL) -> Reason:
    with pytest.raises(Unreadable) as caught:
        extract_apart(suffix, data, limits)
    return caught.value.reason


def bomb(name: str, head: bytes, piece: bytes, tail: bytes, mebibytes: int) -> bytes:
    """A small ZIP archive with one large file."""
    data = io.BytesIO()
    with (
        zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open(name, "w", force_zip64=True) as file,
    ):
        file.write(head)
        block = piece * (1024 * 1024 // len(piece))
        for _ in range(mebibytes):
            file.write(block)
        file.write(tail)
    return data.getvalue()


@pytest.mark.slow
def test_a_zip_bomb_in_a_word_document_ends_at_the_bound_of_its_text() -> None:
    w = b'<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body>'
    text = bomb("word/document.xml", w + b"<w:p><w:r><w:t>", b"A", b"</w:t></w:r></w:p></w:body></w:document>", 300)
    markup = bomb("word/document.xml", w, b"<w:p></w:p>", b"</w:body></w:document>", 300)
    assert len(text) < 8 * 1024 * 1024
    assert reason(".docx", text) is Reason.TOO_MUCH_TEXT
    # Markup without text: it ends where the archive has unpacked to its bound, or at the limits of the process.
    assert reason(".docx", markup) in RESOURCE["too much"]


def test_a_docx_says_its_size_and_is_not_believed() -> None:
    data = bytearray(docx(paragraph("A" * 1000)))
    place = data.find(b"PK\x01\x02")
    data[place + 24 : place + 28] = (10).to_bytes(4, "little")
    assert reason(".docx", bytes(data)) is Reason.BROKEN


@pytest.mark.parametrize("depth", [50_000])
def test_deeply_nested_markup_costs_no_stack(depth: int) -> None:
    assert "rent" in extract_apart(".html", b"<div>" * depth + b"rent" + b"</div>" * depth, SMALL).text
    nested = "<text:span>" * depth + "rent" + "</text:span>" * depth
    assert "rent" in extract_apart(".odt", odt(f"<text:p>{nested}</text:p>"), SMALL).text


def test_an_external_entity_is_never_resolved(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("the key of the neighbour")
    for entity in (f'SYSTEM "file://{secret}"', '"' + "ha" * 1000 + '"'):
        prolog = f"<!DOCTYPE x [<!ENTITY e {entity}>]>"
        assert reason(".odt", odt("<text:p>&e;</text:p>", prolog=prolog)) is Reason.BROKEN


def test_scripts_of_a_pdf_are_not_run_nor_shown() -> None:
    action = "/OpenAction << /S /JavaScript /JS (app.launchURL\\('http://evil.example'\\)) >>"
    assert extract_apart(".pdf", pdf(["The rent is due."], extra=action), SMALL).text == "The rent is due."


@pytest.mark.slow
def test_streams_and_trees_of_a_pdf_that_never_end_are_ended() -> None:
    flate = pdf_of([b"\0" * (100 * 1024 * 1024)], filters="/FlateDecode /FlateDecode", rounds=2)
    assert len(flate) < 1024 * 1024
    assert reason(".pdf", flate) in RESOURCE["too much"] | {Reason.EMPTY}
    endless = pdf(["rent"]).replace(b"/Kids [4 0 R]", b"/Kids [2 0 R]")
    assert reason(".pdf", endless) in RESOURCE["too much"] | {Reason.EMPTY}
    objects = (
        b"%PDF-1.7\n1 0 obj\n<< /Type /ObjStm /N 99999999 /First 5 /Extends 1 0 R /Length 5 >>\nstream\n1 0 1\nendstream\n"
        b"endobj\ntrailer\n<< /Root 1 0 R /Prev 0 >>\nstartxref\n0\n%%EOF"
    )
    assert reason(".pdf", objects) in RESOURCE["too much"]


def test_mails_in_mails_do_not_end_the_process() -> None:
    mail = b"Subject: innermost\n\nThe rent.\n"
    for number in range(300):
        mail = b"Subject: %d\nContent-Type: message/rfc822\n\n" % number + mail
    found = reason(".eml", b"Content-Type: multipart/mixed; boundary=x\n" * 5_000 + b"\n--x\n" * 5_000)
    assert found in RESOURCE["too much"] | {Reason.EMPTY}
    # Forwarded ones are followed a few deep; the deepest subject is not reached.
    text = extract_apart(".eml", mail, SMALL).text
    assert "299" in text
    assert "innermost" not in text


def test_memory_time_and_size_end_at_their_limits() -> None:
    assert reason(".html", b"<p>" + b"a" * 50_000_000, Limits(memory=100 * 1024 * 1024)) is Reason.TOO_MUCH_MEMORY
    assert reason(".html", b"<b>rent</b>" * 2_000_000, Limits(seconds=1)) is Reason.TOO_SLOW
    assert reason(".txt", b"a" * (8 * 1024 * 1024 + 1)) is Reason.TOO_MUCH_TEXT
    assert reason(".pdf", b"%PDF" + bytes(64 * 1024 * 1024)) is Reason.HUGE


def test_the_process_of_a_document_sees_no_setting_and_no_other_file(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, object]] = []
    real = subprocess.Popen

    def watched(command: list[str], **options: object) -> subprocess.Popen[bytes]:
        seen.append(options)
        return real(command, **options)  # type: ignore[call-overload, no-any-return]

    monkeypatch.setenv("SUMMARIZER_TOKEN_SHA256", "a" * 64)
    monkeypatch.setattr(subprocess, "Popen", watched)
    with (Path(sys.executable)).open("rb") as held:
        os.set_inheritable(held.fileno(), True)
        assert extract_apart(".html", b"<p>rent", SMALL).text.strip() == "rent"
    assert set(seen[0]["env"]) == {"PYTHONPATH", "LC_ALL"}  # type: ignore[call-overload]
    assert seen[0]["close_fds"] is True


def test_one_hostile_document_takes_no_other_with_it(tmp_path: Path) -> None:
    (tmp_path / "a.docx").write_bytes(b"PK\x03\x04 broken")
    (tmp_path / "b.txt").write_text("The rent is due.")
    (tmp_path / "secret-merger.pdf").write_bytes(pdf(["x"])[:-200])
    found = read_documents(tmp_path)
    assert [document.number for document in found.readable] in ([2], [2, 3])
    assert found.documents[0].reason is Reason.BROKEN


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "text",
    ["Dr. " * 200_000, "." * 800_000 + "It is due.", "a" + "\u0301\u0316" * 400_000],
    ids=["abbreviations", "dots", "marks on one letter"],
)
def test_a_text_that_is_one_long_repetition_stops_neither_the_work_nor_the_page(text: str) -> None:
    """It took hours, for all of which every other thread of the server waited."""
    assert "".join(sentences(text)).replace(" ", "") == text.replace(" ", "")
    assert apply_guard(Guard("withhold", 30, 120, 15), text[:400], text).verdict == "Withheld"


def test_what_is_counted_of_a_repetition_takes_little_memory() -> None:
    document = "a" * 100_000
    tracemalloc.start()
    assert apply_guard(Guard("withhold", 30, 120, 15), f"{'a' * 30} " * 4, document).verdict == "Withheld"
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 20 * len(document)


def test_a_name_that_is_no_text_keeps_no_other_document_from_being_listed(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("The rent is due.")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/Vertr\xe4ge.txt")).write_text("The rent is due.")
    found = read_documents(tmp_path)
    listed = [JSONResponse(document.name).body.decode() for document in found.readable]
    assert listed == ['"Vertr\ufffdge.txt"', '"a.txt"']


# Of a document that has taken its parser over: it runs whatever code it likes, as the user that the group runs as.

TAKEN_OVER = """
import ctypes, os, socket, time
from pathlib import Path

HERE = Path(__file__).parent.parent
SECRET = eval((HERE / "server").read_text())
libc = ctypes.CDLL(None, use_errno=True)

class PasswordType: NOT_DECRYPTED = 0

def checked(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")
    return result

def memory():
    buffer = ctypes.create_string_buffer(SECRET["size"])
    here = (ctypes.c_void_p * 2)(ctypes.addressof(buffer), SECRET["size"])
    there = (ctypes.c_void_p * 2)(SECRET["address"], SECRET["size"])
    none, one = ctypes.c_ulong(0), ctypes.c_ulong(1)
    checked(libc.process_vm_readv(os.getppid(), here, one, there, one, none))
    return buffer.raw

def reached():
    with socket.create_connection(("127.0.0.1", SECRET["port"]), 5):
        return True

def trace(pid):
    return checked(libc.ptrace(0x4206, pid, 0, 0)) == 0  # PTRACE_SEIZE, which stops nobody

def others():
    return [pid for pid in range(2, 500) if pid not in (os.getpid(), os.getppid()) and can(trace, pid)]

def can(attempt, *arguments):
    try:
        return attempt(*arguments)
    except OSError:
        return False

def await_(name):
    for _ in range(600):
        if (HERE / "flags" / name).exists():
            return
        time.sleep(0.05)

class PdfReader:
    is_encrypted = False

    def __init__(self, file):
        if b"victim" in file.read():
            os.mkdir(HERE / "flags" / "reading")
            await_("tried")
            self.pages = []
            return
        await_("reading")
        tried = dict(
            memory=can(memory), trace=can(trace, os.getppid()), file=can(os.open, f"/proc/{os.getppid()}/mem", os.O_RDONLY),
            documents=can((HERE / "document").read_bytes), network=can(reached), fork=can(os.fork), others=can(others),
        )
        os.mkdir(HERE / "flags" / "tried")
        self.pages = [self]
        self.tried = tried

    def extract_text(self):
        return repr(self.tried)
"""
SERVER = """
import ctypes, socket, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from summarizer.confinement import close_memory
from summarizer.extraction.process import extract_apart
from summarizer.extraction.reasons import Unreadable

close_memory()
here = Path(sys.path[1])
secret = ctypes.create_string_buffer(b"the key of " + b"the page")
listener = socket.create_server(("127.0.0.1", 0))
port = listener.getsockname()[1]
(here / "server").write_text(repr({"address": ctypes.addressof(secret), "size": 19, "port": port}))

def text(data):
    try:
        return extract_apart(".pdf", data).text
    except Unreadable as error:
        return str(error)

with ThreadPoolExecutor(2) as threads:
    print(list(threads.map(text, (b"%PDF victim", b"%PDF attacker")))[1])
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="gives another user an interpreter")
def test_a_document_that_takes_its_parser_over_reaches_neither_the_server_nor_another_document(tmp_path: Path) -> None:
    """On the code before: the server's memory, every other document, the network and a thousand more processes."""
    (tmp_path / "pypdf").mkdir()
    (tmp_path / "pypdf" / "__init__.py").write_text(TAKEN_OVER)
    (tmp_path / "pypdf" / "errors.py").write_text(
        "class DependencyError(Exception): pass\nFileNotDecryptedError = OSError"
    )
    (tmp_path / "document").write_text("The rent is due.")
    (tmp_path / "flags").mkdir()
    for folder in (tmp_path, tmp_path / "flags"):
        folder.chmod(0o777)
    root = "/run/attack"
    container = ["bwrap", "--unshare-pid", "--cap-add", "ALL", "--bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]
    container += ["--tmpfs", "/run", "--bind", str(tmp_path), root, "--ro-bind", sys.base_prefix, str(PYTHON_PREFIX)]
    user = ["setpriv", "--reuid", "1000", "--regid", "1000", "--clear-groups"]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{root}:{python_path(REPOSITORY / 'workload')}"}

    done = subprocess.run(
        [*container, *user, str(PYTHON_PREFIX / "bin" / "python3"), "-c", SERVER],
        env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    tried = ast.literal_eval(done.stdout.strip())
    assert set(tried) == {"memory", "trace", "file", "documents", "network", "fork", "others"}
    assert not any(tried.values()), tried


def as_its_user(interpreter: Path, mode: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run an interpreter as the summarizer's user, who may do with its file what the mode says."""
    interpreter.chmod(mode)
    container = ["bwrap", "--cap-add", "ALL", "--bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/run"]
    container += ["--ro-bind", sys.base_prefix, str(PYTHON_PREFIX), "--ro-bind", str(interpreter), "/run/python3"]
    # By way of env: setpriv itself may still read what its user may not.
    command = ["setpriv", "--reuid", "1000", "--regid", "1000", "--clear-groups", "env", "/run/python3", *arguments]
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONHOME": str(PYTHON_PREFIX),
        "LD_LIBRARY_PATH": str(PYTHON_PREFIX / "lib"),
        "PYTHONPATH": python_path(REPOSITORY / "workload"),
    }
    return subprocess.run([*container, *command], env=environment, capture_output=True, text=True, check=False)


@pytest.mark.skipif(os.geteuid() != 0, reason="gives another user an interpreter")
def test_nor_while_the_other_documents_process_is_only_beginning(tmp_path: Path) -> None:
    """A program begins open, and closes itself some milliseconds later; the image's interpreter cannot be read at all."""
    interpreter = shutil.copy(Path(sys.base_prefix) / "bin" / "python3", tmp_path / "python3")
    begun = "import os; print(os.stat('/proc/self/mem').st_uid)"
    owners = [as_its_user(interpreter, mode, "-c", begun).stdout.strip() for mode in (0o755, 0o711)]
    assert owners == ["1000", "0"]
    assert "chmod 0711 /opt/root/usr/bin/python3.11" in (REPOSITORY / "workload/Containerfile").read_text()
    # Which is why the container starts as root, outside of a guest as well.
    refused = as_its_user(interpreter, 0o711, "-m", "summarizer")
    assert (refused.returncode, "start the container as root" in refused.stdout) == (3, True), refused.stderr


# What readers of GitHub's Markdown make links of in text that they have already parsed (mdast-util-gfm-autolink-literal).
LINKED = (r"(?i)(?:https?://|www(?=\.))[-.\w]+", r"[-.\w+]+@[-\w]+(?:\.[-\w]+)+")


@pytest.mark.parametrize(
    "address", ["https://evil.example/login", "HTTP://evil.example", "Www.evil.example", "me@evil.example"]
)
def test_no_words_of_a_document_become_a_link_for_its_readers(address: str) -> None:
    """Whoever clicks it may type the readers' token into what it opens; escaping alone does not prevent it."""
    text = f"Sign in again at {address} to read on."
    shown = re.sub(r"\\([^\w\s])", r"\1", plain(text))
    assert any(re.search(pattern, text) for pattern in LINKED)
    assert not any(re.search(pattern, shown) for pattern in LINKED)
    assert shown.replace("\u2060", "") == text
