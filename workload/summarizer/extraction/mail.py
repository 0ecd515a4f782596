"""The text of a mail: its subject and its body, by the standard library; attachments are counted, not opened."""

from email import message_from_bytes, policy
from email.message import EmailMessage, MIMEPart
from typing import Final

from summarizer.extraction.encoding import decode
from summarizer.extraction.html import markup_text

# A forwarded mail in a forwarded mail; deeper ones are counted as attachments.
_MAX_DEPTH: Final = 4


def mail_text(data: bytes) -> tuple[str, int]:
    """Return the subject and the body, those of forwarded mails too, and how many attachments there are beside them."""
    message = message_from_bytes(data, policy=policy.default)
    if not message.keys():
        raise ValueError("a mail has headers")
    return _read(message, _MAX_DEPTH)


def _read(message: EmailMessage, depth: int) -> tuple[str, int]:
    texts = [str(message.get("subject", ""))]
    unread = 0
    body = message.get_body(preferencelist=("plain", "html"))
    if body is not None:
        texts.append(_part_text(body))
    for attachment in message.iter_attachments() if message.is_multipart() else ():
        forwarded = attachment.get_content() if attachment.get_content_type() == "message/rfc822" else None
        if isinstance(forwarded, EmailMessage) and depth:
            text, inner = _read(forwarded, depth - 1)
            texts.append(text)
            unread += inner
        else:
            unread += 1
    return "\n\n".join(text for text in texts if text.strip()), unread


def _part_text(part: MIMEPart) -> str:
    payload = part.get_payload(decode=True)
    text = decode(payload if isinstance(payload, bytes) else b"", part.get_content_charset())
    return markup_text(text) if part.get_content_type() == "text/html" else text
