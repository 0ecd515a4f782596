"""The configuration: environment variables, each pinned in the group's policy."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

import pyrage
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from summarizer.card import GuardMode
from summarizer.engine.choice import EngineChoice
from summarizer.errors import ConfigurationError
from summarizer.pins import DigestPin, Pin, SignedPin
from summarizer.shard import Shard, ShardBy

PREFIX: Final = "SUMMARIZER_"
# Kubernetes' own variable in the pods of an Indexed Job; the policy lets it be any number.
INDEX: Final = "JOB_COMPLETION_INDEX"
_HOST: Final = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
_PREFIX: Final = r"^https://[a-z0-9.-]+/[a-z0-9-]+/[A-Za-z0-9._/-]*/$"
_SHA256: Final = r"^[0-9a-f]{64}$"


def _absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError("must be an absolute path")
    return path


def _recipient(value: str) -> str:
    try:
        pyrage.x25519.Recipient.from_str(value)
    except pyrage.RecipientError:
        raise ValueError("must be an age public key, age1…") from None
    return value


def _host(value: str) -> str:
    if not _HOST.fullmatch(value):
        raise ValueError("must be a host name without scheme or path")
    return value


def _parted(value: object) -> object:
    return value.split(",") if isinstance(value, str) else value


def _parsed(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        raise ValueError("must be a JSON list of file systems") from None


AbsolutePath = Annotated[Path, AfterValidator(_absolute)]
ModelName = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]


class DocumentSet(BaseModel):
    """The documents of one owner: a sealed file system, what it has to hold, and who gets its results.

    Attributes:
        directory: Where it appears when the sidecar has mounted it; its last part is the file system's name.
        sha256: SHA-256 of the content manifest, or None where the documents are not pinned by it.
        key: The owner's Ed25519 public key in base64, whose signature the documents need, or None.
        min_version: The oldest version of signed documents that is taken; needed with `key`.
        output: https URL of the blob prefix that also gets the results, or None.
        recipient: The owner's age public key, to which results are encrypted; needed with `output`.
    """

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True, extra="forbid", frozen=True)

    directory: AbsolutePath
    sha256: Annotated[str, Field(pattern=_SHA256)] | None = None
    key: Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]{43}=$")] | None = None
    min_version: Annotated[int, Field(ge=1)] | None = None
    output: Annotated[str, Field(pattern=_PREFIX, max_length=1024)] | None = None
    recipient: Annotated[str, AfterValidator(_recipient)] | None = None

    @model_validator(mode="after")
    def _one_pin(self) -> Self:
        if (self.key is None) != (self.min_version is None):
            raise ValueError("key and minVersion belong together")
        if self.key is not None and self.sha256 is not None:
            raise ValueError("set sha256 or key, not both")
        return self

    @model_validator(mode="after")
    def _output_has_its_owner(self) -> Self:
        if (self.output is None) != (self.recipient is None):
            raise ValueError("output and recipient belong together: set both or none")
        if self.output is not None and self.pin is None:
            raise ValueError("output needs documents that are pinned or signed")
        return self

    @property
    def name(self) -> str:
        """The file system's name."""
        return self.directory.name

    @property
    def pin(self) -> Pin | None:
        """What the documents have to be; None where the policy says nothing about them."""
        if self.key is not None and self.min_version is not None:
            return SignedPin(self.key, self.min_version, self.name)
        return None if self.sha256 is None else DigestPin(self.sha256)


def _differ(sets: Sequence[DocumentSet]) -> Sequence[DocumentSet]:
    if len({one.name for one in sets}) < len(sets):
        raise ValueError("the names of file systems must differ")
    return sets


class Settings(BaseModel):
    """Everything that can be set; the variable is `SUMMARIZER_` and the field's name in capitals.

    Attributes:
        documents: The documents, one set for each owner, in a JSON list of objects; numbered in this order.
        models: The models that readers may choose from, parted by commas; the first is the default.
        models_directory: Directory with a folder for each model; it may appear late too.
        shards: In how many groups the documents are summarized once, in a batch; None for a server.
        shard_by: Whether each of these takes its part of all documents, or one file system.
        shard_index: Which of these groups this one is, from 0: the variable JOB_COMPLETION_INDEX.
        identity: Client id of the managed identity that writes results, where the group has several.
        models_sha256: SHA-256 of the models' content manifest, or None where the measured image holds them.
        max_words: Most words of a summary.
        engine: Which engine; `auto` takes CTranslate2 where there are converted weights.
        guard: What happens to long verbatim runs.
        guard_run: Most words in a row that a summary may share with its document.
        guard_share: Most percent of a document's letters that all answers about it may repeat together.
        guard_shortest: Letters of the shortest document that is summarized when withholding.
        show_names: Whether file names stand for the documents, instead of `Document 1`, `Document 2`, …
        address: IP address to listen on.
        port: TCP port to listen on.
        token_sha256: SHA-256 of the token that page and API ask for, or None where access is controlled elsewhere.
        maa: Host name of the attestation service, or None where there is no evidence to give.
        profile: Profile of the policy; Debug puts a red banner on the page.
        deadline: Seconds after which a directory that has not appeared is reported as a failure.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    documents: Annotated[
        tuple[DocumentSet, ...], BeforeValidator(_parsed), Field(min_length=1, max_length=8), AfterValidator(_differ)
    ]
    models: Annotated[tuple[ModelName, ...], BeforeValidator(_parted), Field(min_length=1, max_length=16)]
    models_directory: AbsolutePath = Path("/models")
    shards: Annotated[int, Field(ge=1, le=1000)] | None = None
    shard_by: ShardBy = ShardBy.DOCUMENT
    shard_index: Annotated[int, Field(ge=0)] | None = None
    identity: Annotated[str, Field(pattern=r"^[0-9a-fA-F-]{36}$")] | None = None
    models_sha256: Annotated[str, Field(pattern=_SHA256)] | None = None
    max_words: Annotated[int, Field(ge=10, le=1000)] = 120
    engine: EngineChoice = "auto"
    guard: GuardMode = "withhold"
    guard_run: Annotated[int, Field(ge=5, le=1000)] = 30
    guard_share: Annotated[int, Field(ge=1, le=100)] = 15
    guard_shortest: Annotated[int, Field(ge=0, le=1_000_000)] = 1000
    show_names: bool = False
    address: str = "0.0.0.0"  # noqa: S104  the group's own network name space; what is reachable is the policy's matter
    port: Annotated[int, Field(ge=1, le=65535)] = 8501
    token_sha256: Annotated[str, Field(pattern=_SHA256)] | None = None
    maa: Annotated[str, AfterValidator(_host)] | None = None
    profile: Literal["Restricted", "Debug"] = "Restricted"
    deadline: Annotated[int, Field(ge=1, le=86400)] = 600

    @model_validator(mode="after")
    def _shard_is_one_of_all(self) -> Self:
        if self.shard_by is ShardBy.FILE_SYSTEM and self.shards != len(self.documents):
            raise ValueError(f"{PREFIX}SHARDS has to be {len(self.documents)}: each file system is a shard")
        if self.shards is None:
            return self
        if any(one.output is None for one in self.documents):
            raise ValueError(f"{PREFIX}SHARDS needs an output for all documents: a batch only writes results")
        if self.shard_index is None or self.shard_index >= self.shards:
            raise ValueError(f"{INDEX} has to be a number from 0 to {self.shards - 1}")
        return self

    @property
    def shard(self) -> Shard | None:
        """Which documents are this group's; None for a server, which has all."""
        if self.shards is None or self.shard_index is None:
            return None
        return Shard(self.shard_index, self.shards, self.shard_by)

    @property
    def reads(self) -> Sequence[DocumentSet]:
        """The file systems that this group reads."""
        shard = self.shard
        return self.documents if shard is None or shard.by is ShardBy.DOCUMENT else [self.documents[shard.index]]

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Return the settings in `environment`.

        Raises:
            ConfigurationError: A variable is missing, unknown or out of range; the message names each.
        """
        values: dict[str, Any] = {
            name.removeprefix(PREFIX).lower(): value for name, value in environment.items() if name.startswith(PREFIX)
        }
        if "shards" in values:
            values["shard_index"] = environment.get(INDEX)
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise ConfigurationError("; ".join(_explain(dict(problem)) for problem in error.errors())) from None


def refuse_doubles(environment: bytes) -> None:
    """Refuse variables of ours that are there twice: a policy not of ours may let the host add `…_PORT` of any name.

    Args:
        environment: As the kernel gave it, `/proc/self/environ`; Python has kept only the first of each.

    Raises:
        ConfigurationError: One is.
    """
    names = [entry.partition(b"=")[0] for entry in environment.split(b"\0")]
    ours = (PREFIX.encode(), INDEX.encode())
    doubles = {name.decode() for name in names if name.startswith(ours) and names.count(name) > 1}
    if doubles:
        raise ConfigurationError(f"{', '.join(sorted(doubles))} is there twice: somebody added one to the policy's own")


def _explain(problem: dict[str, Any]) -> str:
    if not problem["loc"]:
        return str(problem["msg"]).removeprefix("Value error, ")
    name, *inside = problem["loc"]
    variable = INDEX if name == "shard_index" else PREFIX + str(name).upper()
    if problem["type"] == "extra_forbidden" and not inside:
        return f"{variable} is not a setting: remove it or correct its name"
    if problem["type"] == "missing" and not inside:
        return f"{variable} is not set: add it to the container's environment"
    # Never the value: a token could have been put where its hash belongs.
    place = "".join(f", {part}" for part in inside)
    return f"{variable}{place} is not valid: {problem['msg']}"
