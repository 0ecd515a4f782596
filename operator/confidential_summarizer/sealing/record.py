"""What `csum seal` remembers of an image's content, in a file beside it: the image itself tells it to the key alone."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from confidential_summarizer.errors import IntegrityError, SealingError
from confidential_summarizer.sealing.signature import ContentSignature


@dataclass(frozen=True)
class ContentRecord:
    """The content of one image.

    Attributes:
        uuid: Of the image's LUKS header, so that a record is not taken for another image's.
        content_sha256: SHA-256 of the content manifest, 64 hexadecimal digits.
        signature: The owner's signature inside, if there is one.
    """

    uuid: str
    content_sha256: str
    signature: ContentSignature | None = None

    def write(self, image: Path) -> None:
        """Write the record beside its image, as IMAGE.json."""
        document = {"uuid": self.uuid, "contentSHA256": self.content_sha256}
        if self.signature is not None:
            document["signature"] = self.signature.text.decode()
        _place(image).write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, image: Path, uuid: str) -> Self | None:
        """Read the record beside an image; None where there is none, or it is another image's.

        Raises:
            SealingError: The record is damaged.
        """
        try:
            document = json.loads(_place(image).read_text(encoding="utf-8"))
            if document["uuid"] != uuid:
                return None
            text = document.get("signature")
            signature = None if text is None else ContentSignature.parse(text.encode())
            return cls(uuid, str(document["contentSHA256"]), signature)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError, AttributeError, IntegrityError):
            raise SealingError(f"{_place(image)}: the record of {image} is damaged; move it away.") from None


def _place(image: Path) -> Path:
    return image.with_name(f"{image.name}.json")
