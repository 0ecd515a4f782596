"""Where two JSON documents differ, as paths that people know their way by. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any


def differences(wanted: Any, found: Any, path: str = "") -> Iterator[str]:
    """Yield the path of everything that is not the same in both.

    Lists of named objects are compared by name, whatever their order, as the API server merges them.
    """
    if isinstance(wanted, Mapping) and isinstance(found, Mapping):
        for key in [*wanted, *(key for key in found if key not in wanted)]:
            yield from differences(wanted.get(key), found.get(key), f"{path}.{key}" if path else str(key))
    elif isinstance(wanted, list) and isinstance(found, list):
        yield from _list_differences(wanted, found, path)
    elif wanted != found:
        yield path


def _list_differences(wanted: list[Any], found: list[Any], path: str) -> Iterator[str]:
    one, other = _by_name(wanted), _by_name(found)
    if one is not None and other is not None:
        for name in [*one, *(name for name in other if name not in one)]:
            yield from differences(one.get(name), other.get(name), f"{path}[{name}]")
    elif len(wanted) != len(found):
        yield path
    else:
        for index, (left, right) in enumerate(zip(wanted, found, strict=True)):
            yield from differences(left, right, f"{path}[{index}]")


def _by_name(items: list[Any]) -> dict[str, Any] | None:
    """Return the items by name; None unless each has a name of its own."""
    names = [item.get("name") if isinstance(item, Mapping) else None for item in items]
    return None if None in names or len(set(names)) != len(names) else dict(zip(map(str, names), items, strict=True))
