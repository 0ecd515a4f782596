"""What somebody else changed in an object that the operator deployed. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from confidential_summarizer.api.quantity import parse_quantity

QUANTITIES = frozenset({"cpu", "memory"})
"""The API server writes these in its own form: 500m for 0.5."""


def differences(desired: Any, live: Any, path: str = "") -> Iterator[str]:
    """Yield the path of everything desired that the live object says otherwise; what it has besides is not ours.

    Lists of named objects are compared by name, as the API server merges them; a name that is not desired is drift,
    since an extra container or variable changes what runs.
    """
    if isinstance(desired, Mapping) and isinstance(live, Mapping):
        for key, value in desired.items():
            yield from differences(value, live.get(key), f"{path}.{key}" if path else str(key))
    elif isinstance(desired, list) and isinstance(live, list):
        yield from _list_differences(desired, live, path)
    elif not _same(desired, live, path):
        yield path


def _list_differences(desired: list[Any], live: list[Any], path: str) -> Iterator[str]:
    names = [item.get("name") for item in desired if isinstance(item, Mapping)]
    if len(names) != len(desired) or None in names:
        if len(desired) != len(live):
            yield path
            return
        for index, (wanted, found) in enumerate(zip(desired, live, strict=True)):
            yield from differences(wanted, found, f"{path}[{index}]")
        return
    found_by_name = {item.get("name"): item for item in live if isinstance(item, Mapping)}
    for wanted in desired:
        yield from differences(wanted, found_by_name.get(wanted["name"]), f"{path}[{wanted['name']}]")
    yield from (f"{path}[{name}]" for name in found_by_name if name not in names)


def _same(desired: Any, live: Any, path: str) -> bool:
    if path.rsplit(".", 1)[-1] in QUANTITIES and desired is not None and live is not None:
        return parse_quantity(desired) == parse_quantity(live)
    # The API server drops empty lists and maps.
    return desired == live or (live is None and desired in ({}, [], False))
