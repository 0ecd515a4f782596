"""Documents of the kinds that people seal, made by hand so that a test can break each of them where it wants."""

import io
import zipfile
import zlib
from collections.abc import Mapping, Sequence

W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
ODF = " ".join(
    f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"' for name in ("office", "text", "table")
)


def archive(files: Mapping[str, str | bytes]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as written:
        for name, content in files.items():
            written.writestr(name, content)
    return data.getvalue()


def docx(body: str, **others: str) -> bytes:
    """A Word document whose body is this WordprocessingML (prefix `w`)."""
    document = f'<?xml version="1.0"?><w:document xmlns:w="{W}"><w:body>{body}</w:body></w:document>'
    return archive({"word/document.xml": document} | {f"word/{name}.xml": xml for name, xml in others.items()})


def run(text: str) -> str:
    return f"<w:r><w:t>{text}</w:t></w:r>"


def paragraph(text: str) -> str:
    return f"<w:p>{run(text)}</w:p>"


def odt(body: str, *, prolog: str = "", manifest: str = "") -> bytes:
    """An OpenDocument text whose body is this (prefixes `office`, `text`, `table`)."""
    content = f"{prolog}<office:document-content {ODF}><office:body>{body}</office:body></office:document-content>"
    return archive({"content.xml": content, "META-INF/manifest.xml": f"<manifest>{manifest}</manifest>"})


def pdf(pages: Sequence[str], extra: str = "", filters: str = "/FlateDecode", rounds: int = 1) -> bytes:
    """A PDF with a line of text on each page.

    Args:
        pages: The texts; an empty one is a page without text.
        extra: Further entries of the catalog.
        filters: How the pages' streams are said to be compressed.
        rounds: How often they are.
    """
    streams = [f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET".encode() if text else b"" for text in pages]
    return pdf_of(streams, extra=extra, filters=filters, rounds=rounds)


def pdf_of(streams: Sequence[bytes], *, extra: str = "", filters: str = "/FlateDecode", rounds: int = 1) -> bytes:
    kids = " ".join(f"{4 + 2 * number} 0 R" for number in range(len(streams)))
    objects = [
        f"<< /Type /Catalog /Pages 2 0 R {extra} >>".encode(),
        f"<< /Type /Pages /Count {len(streams)} /Kids [{kids}] >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for number, stream in enumerate(streams):
        resources = "/Resources << /Font << /F1 3 0 R >> >>"
        objects.append(
            f"<< /Type /Page /Parent 2 0 R {resources} /MediaBox [0 0 612 792] /Contents {5 + 2 * number} 0 R >>".encode()
        )
        packed = stream
        for _ in range(rounds):
            packed = zlib.compress(packed)
        objects.append(f"<< /Length {len(packed)} /Filter [{filters}] >>\nstream\n".encode() + packed + b"\nendstream")
    data, places = b"%PDF-1.7\n", []
    for number, body in enumerate(objects, start=1):
        places.append(len(data))
        data += f"{number} 0 obj\n".encode() + body + b"\nendobj\n"
    table = "".join(f"{place:010d} 00000 n \n" for place in places)
    count = len(objects) + 1
    return (
        data
        + f"xref\n0 {count}\n0000000000 65535 f \n{table}trailer\n<< /Size {count} /Root 1 0 R >>\n".encode()
        + f"startxref\n{len(data)}\n%%EOF\n".encode()
    )
