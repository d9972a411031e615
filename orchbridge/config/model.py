"""The settings as frozen objects; `config.example.toml` shows every one of them with its meaning."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    field_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from orchbridge.config import values

MORE_STREAMS = ("activity", "schedules")  # on request
Text: TypeAlias = Annotated[str, Field(min_length=1)]
File: TypeAlias = Annotated[Path, AfterValidator(values.existing)]
Folder: TypeAlias = Annotated[Path, AfterValidator(values.beside)]
Duration: TypeAlias = Annotated[timedelta, BeforeValidator(values.duration)]
Prefix: TypeAlias = Annotated[str, AfterValidator(values.topic_prefix)]
TypePrefix: TypeAlias = Annotated[
    str,
    Field(
        pattern=r"^[a-z0-9]+([.-][a-z0-9]+)*$",
        max_length=100,
        description="small letters and digits in words with dots",
    ),
]


Service: TypeAlias = Annotated[
    str,
    Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=50, description="small letters, digits and - between them"),
]


class Section(BaseModel):
    """A table of the file: fixed once made, unknown keys refused, values kept out of error texts."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, allow_inf_nan=False)

    def secret(self, name: str) -> str | None:
        """Return a secret's text, given in place or in its `<name>_file` (one line end at the end is dropped).

        Raise OSError or UnicodeDecodeError where the file cannot be read. For a `token_file`, which
        may change while we run, read the file each time instead.
        """
        given = getattr(self, name)
        if given is not None:
            return str(given.get_secret_value())
        file: Path | None = getattr(self, f"{name}_file")
        return None if file is None else file.read_text(encoding="utf-8").removesuffix("\n").removesuffix("\r")


class Canary(Section):
    """A harmless task that is run now and then, to see whether it arrives in the sink."""

    task: str = Field(
        pattern=r"^[a-z][a-z0-9_]*(::[a-z][a-z0-9_]*)*$", description="module or module::task", examples=["facts"]
    )
    nodes: tuple[Text, ...] = Field(min_length=1, max_length=100, examples=[["web01.example.com"]])
    environment: Text = "production"
    interval_s: float = Field(default=900.0, ge=60, le=86_400)
    timeout_s: float = Field(default=300.0, ge=10, le=3600)
    params: Annotated[dict[str, Any], BeforeValidator(values.parameters)] = Field(default={}, repr=False)
    params_file: File | None = Field(default=None, examples=["/etc/orchbridge/canary.json"])


class Source(Section):
    """One orchestrator to tail."""

    name: str = Field(
        pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=63, examples=["prod"], description="small letters, digits and -"
    )
    url: Annotated[str, AfterValidator(values.origin)] = Field(examples=["https://pe.example.com:8143"])
    ca_file: File | None = Field(default=None, examples=["/etc/orchbridge/ca.pem"])
    client_cert_file: File | None = Field(default=None, examples=["/etc/orchbridge/client.pem"])
    client_key_file: File | None = Field(default=None, examples=["/etc/orchbridge/client.key"])
    token_file: File | None = Field(default=None, examples=["/etc/orchbridge/token"])
    token: Annotated[SecretStr, Field(min_length=1)] | None = None
    rbac_url: Annotated[str, AfterValidator(values.rbac)] | None = Field(
        default=None, examples=["https://pe.example.com:4433"]
    )
    proxy: SecretStr | None = None
    proxy_file: File | None = Field(default=None, examples=["/etc/orchbridge/proxy"])
    start: Annotated[str, BeforeValidator(values.start)] = "now"
    streams: tuple[str, ...] = Field(default=("jobs", "plans", "inventory"), min_length=1)
    poll_interval_s: float = Field(default=2.0, gt=0, le=3600)
    inventory_interval_s: float = Field(default=30.0, gt=0, le=86_400)
    activity_services: tuple[Service, ...] = Field(
        default=("rbac", "classifier", "pe-console", "code-manager"), min_length=1, max_length=20
    )
    activity_interval_s: float = Field(default=10.0, gt=0, le=86_400)
    schedules_interval_s: float = Field(default=30.0, gt=0, le=86_400)
    missed_after: Duration = Field(default=timedelta(minutes=5), examples=["5m"])
    heartbeat_interval_s: float = Field(default=60.0, ge=0, le=86_400)
    concurrency: int = Field(default=8, ge=1, le=64)
    requests_per_s: float = Field(default=50.0, gt=0, le=1000)
    timeout_s: float = Field(default=30.0, gt=0, le=600)
    job_url: Annotated[str, AfterValidator(values.job_link)] | None = Field(
        default=None, examples=["https://pe.example.com/#/run/jobs/{job}"]
    )
    adopt_cursor: bool = False
    late_window_s: float = Field(default=900.0, ge=0, le=86_400)
    certificate_grace_s: float = Field(default=10.0, ge=0, le=600)
    forget_after: Duration = Field(default=timedelta(days=30), examples=["30d"])
    renew_token: bool = False
    canary: Canary | None = None

    @field_validator("streams")
    @classmethod
    def _known_streams(cls, streams: tuple[str, ...]) -> tuple[str, ...]:
        known = (*cls.model_fields["streams"].default, *MORE_STREAMS)
        strange = [name for name in streams if name not in known]
        if strange:
            raise ValueError(f'"{strange[0][:40]}" is no stream; write {_listed(known)}')
        if len(set(streams)) < len(streams):
            raise ValueError(f"names a stream twice; write {_listed(known)}")
        return streams

    @field_validator("activity_services")
    @classmethod
    def _each_once(cls, services: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(services)) < len(services):
            raise ValueError(
                f"names a service twice; write activity_services = {json.dumps(list(dict.fromkeys(services)))}"
            )
        return services

    @property
    def kinds(self) -> tuple[str, ...]:
        """The streams by their kinds: each service's activity is one of its own."""
        activity = tuple(f"activity-{service}" for service in self.activity_services)
        each = (activity if name == "activity" else (name,) for name in self.streams)
        return tuple(kind for kinds in each for kind in kinds)

    @field_validator("proxy")
    @classmethod
    def _proxy_address(cls, proxy: SecretStr | None) -> SecretStr | None:
        if proxy is not None:
            values.proxy(proxy.get_secret_value())
        return proxy


class Kafka(Section):
    """Records into Kafka; the names of the connection keys are aiokafka's."""

    type: Literal["kafka"] = "kafka"
    topic_prefix: Prefix = "pe.{source}"
    type_prefix: TypePrefix = "io.orchbridge.pe"
    bootstrap_servers: Annotated[str, AfterValidator(values.bootstrap)] = Field(examples=["kafka-1:9092"])
    group: str = Field(
        default="orchbridge",
        pattern=r"^[a-zA-Z0-9._-]+$",
        max_length=200,
        description='letters, digits, ".", "_" and -',
    )
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    sasl_plain_username: Text | None = Field(default=None, examples=["orchbridge"])
    sasl_plain_password: SecretStr | None = None
    sasl_plain_password_file: File | None = Field(default=None, examples=["/etc/orchbridge/kafka-password"])
    ssl_cafile: File | None = Field(default=None, examples=["/etc/orchbridge/kafka-ca.pem"])
    ssl_certfile: File | None = Field(default=None, examples=["/etc/orchbridge/kafka.pem"])
    ssl_keyfile: File | None = Field(default=None, examples=["/etc/orchbridge/kafka.key"])
    ssl_password: SecretStr | None = None
    ssl_password_file: File | None = Field(default=None, examples=["/etc/orchbridge/kafka-key-password"])
    create_topics: bool = True
    partitions: int = Field(default=12, ge=1, le=10_000)
    replication_factor: int | None = Field(default=None, ge=1, le=100, examples=[3])
    compression: Literal["none", "gzip", "snappy", "lz4", "zstd"] = "none"


class Jsonl(Section):
    """Records into files, one structured CloudEvent a line."""

    type: Literal["jsonl"] = "jsonl"
    topic_prefix: Prefix = "pe.{source}"
    type_prefix: TypePrefix = "io.orchbridge.pe"
    directory: Folder = Field(examples=["/var/lib/orchbridge"])
    rotate_bytes: int = Field(default=1_073_741_824, ge=65_536)


class Stdout(Section):
    """Records to standard output; nothing is remembered."""

    type: Literal["stdout"] = "stdout"
    topic_prefix: Prefix = "pe.{source}"
    type_prefix: TypePrefix = "io.orchbridge.pe"


class Http(Section):
    """Metrics, health and the status page."""

    listen: Annotated[str, AfterValidator(values.listen)] = "127.0.0.1:9640"
    tls_cert_file: File | None = Field(default=None, examples=["/etc/orchbridge/http.pem"])
    tls_key_file: File | None = Field(default=None, examples=["/etc/orchbridge/http.key"])
    client_ca_file: File | None = Field(default=None, examples=["/etc/orchbridge/http-clients-ca.pem"])
    bearer_token: Annotated[SecretStr, Field(min_length=1)] | None = None
    bearer_token_file: File | None = Field(default=None, examples=["/etc/orchbridge/http-token"])
    basic_user: Annotated[str, AfterValidator(values.user)] | None = Field(default=None, examples=["prometheus"])
    basic_password: Annotated[SecretStr, Field(min_length=1)] | None = None
    basic_password_file: File | None = Field(default=None, examples=["/etc/orchbridge/http-password"])

    def has(self, secret: str) -> bool:
        """Return whether this secret is set, in place or as a file."""
        return getattr(self, secret) is not None or getattr(self, f"{secret}_file") is not None

    @property
    def host(self) -> str:
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        return int(self.listen.rpartition(":")[2])


class Metrics(Section):
    """How many series what PE names may make; what is beyond is counted together."""

    name_series: int = Field(default=100, ge=1, le=1000)
    node_series: int = Field(default=0, ge=0, le=10_000)


class Log(Section):
    """Our own log, on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "console"] = "auto"


class Redaction(Section):
    """What is hidden before anything is written."""

    unknown_task: Literal["redact", "keep"] = "redact"
    key_names: tuple[Text, ...] = Field(default=(), max_length=1000, examples=[["pin", "licence_key"]])
    pseudonym_key_file: File | None = Field(default=None, examples=["/etc/orchbridge/pseudonym-key"])


Sink: TypeAlias = Kafka | Jsonl | Stdout
SINKS: dict[str, type[Kafka] | type[Jsonl] | type[Stdout]] = {"kafka": Kafka, "jsonl": Jsonl, "stdout": Stdout}


class Settings(BaseSettings, Section):
    """Everything a run is told. Made by `load`, which also checks what no single key can say."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, allow_inf_nan=False)

    sources: tuple[Source, ...] = Field(min_length=1, max_length=100)
    sink: Annotated[Sink, Field(discriminator="type")]
    http: Http = Http()
    metrics: Metrics = Metrics()
    log: Log = Log()
    redaction: Redaction = Redaction()

    _warnings: tuple[str, ...] = PrivateAttr(())

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the library's signature
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take what `load` merged and nothing else: the library's own environment source knows neither items
        of lists by their index nor that an unknown name is an error."""
        return (init_settings,)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Lines about what was ignored or is dangerous, for the log."""
        return self._warnings


def _listed(names: tuple[str, ...]) -> str:
    return f"streams = {json.dumps(names)}"
