"""Kubernetes quantities ("500m", "16Gi") as exact numbers.

Source of the suffixes: the serialization format of `k8s.io/apimachinery/pkg/api/resource`.
"""

import re
from decimal import Decimal

GIB = Decimal(1024**3)
GB = Decimal(10**9)

_SUFFIXES = {
    "": Decimal(1),
    "m": Decimal("0.001"),
    "k": Decimal(10**3),
    "M": Decimal(10**6),
    "G": GB,
    "T": Decimal(10**12),
    "Ki": Decimal(1024),
    "Mi": Decimal(1024**2),
    "Gi": GIB,
    "Ti": Decimal(1024**4),
}
PATTERN = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$"


def parse_quantity(text: str | int) -> Decimal:
    """Return a quantity as a plain number (cores, bytes).

    Raises:
        ValueError: The text is no quantity.
    """
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([a-zA-Z]*)", str(text))
    if match is None or match[2] not in _SUFFIXES:
        raise ValueError(f"{text!r} is no quantity; write for example 500m, 4, 512Mi or 16Gi")
    return Decimal(match[1]) * _SUFFIXES[match[2]]
