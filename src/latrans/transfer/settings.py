"""Settings that are given by path: each names an array that there is, and that they are for."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from ..errors import ConfigError


def paths(what: str, given: Iterable[str], found: Collection[str]) -> list[str]:
    """Paths as those of the arrays that there are, slashes at their ends aside.

    Raises
    ------
    ConfigError
        If there is no such array; it names the nearest.
    """
    named = [given] if isinstance(given, str) else list(given)
    stripped = [str(name).strip("/") for name in named]
    for name in stripped:
        if name not in found:
            raise ConfigError(
                f"the source has no array {name}, which {what}= names; {_near(name, found)}"
            )
    return stripped


def by_path(what: str, setting: Any, found: Collection[str]) -> Any:
    """A setting; where it is a mapping, its paths are checked as those of `paths`."""
    if not isinstance(setting, Mapping):
        return setting
    return dict(zip(paths(what, setting, found), setting.values(), strict=True))


def only_for(what: str, setting: Any, taken: Collection[str]) -> None:
    """Refuse a setting for arrays that are copied: it would have no effect."""
    copied = sorted(set(setting) - set(taken)) if isinstance(setting, Mapping) else []
    if copied:
        raise ConfigError(
            f"{what}= names {', '.join(copied)}, which latrans does not take but copies: name it "
            "in arrays= or codec=, too, or leave it out"
        )


def _near(name: str, found: Collection[str]) -> str:
    if set(found) == {""}:
        return "it is an array itself, whose path is ''"
    nearest = difflib.get_close_matches(name, found, 1, 0.5)
    return f"do you mean {nearest[0]}?" if nearest else f"it has {', '.join(sorted(found))}"
