"""The sidecar's settings from the environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from oneseek_core import names
from oneseek_core.errors import places
from oneseek_core.serving.settings import ExternalEndpoint, ServingSettings
from oneseek_runtime.access import Access
from oneseek_runtime.sidecar.errors import SettingsError
from oneseek_runtime.sidecar.http.client_address import Networks, parse_networks

__all__ = ["ENGINE_RESTART_SECONDS", "RecordsAccess", "SidecarSettings"]

_ENDPOINTS = TypeAdapter(tuple[ExternalEndpoint, ...])
ENGINE_RESTART_SECONDS = 30  # how long a request waits while the engine refuses connections
_SPOOL_BYTES = 256 * 1024**2  # about 170,000 answers


@dataclass(frozen=True)
class RecordsAccess:
    """The records service's URL and credentials, and the spool."""

    url: str
    access: Access
    spool: Path
    spool_bytes: int = _SPOOL_BYTES


@dataclass(frozen=True)
class SidecarSettings:
    """Settings of one sidecar. Times are in seconds."""

    serving: ServingSettings
    host: str = "0.0.0.0"  # noqa: S104 - the kubelet and the Service reach a pod by its address
    public_port: int = names.PORT_PUBLIC
    internal_port: int = names.PORT_INTERNAL
    verify_port: int = names.PORT_VERIFY
    rate_limits: bool = True
    access_log: bool = True
    trusted_proxies: Networks = ()  # whose X-Forwarded-For is used to identify clients
    concurrent: int = 64  # one client's requests that the engine works on at the same time
    allowed_origins: frozenset[str] = frozenset()  # of pages that may use private routes; `*`: all may read
    request_seconds: float = 20.0  # how long an answer waits for the operator's outcome before it is 202
    drain_minimum: float = 3.0  # after SIGTERM, until every node has removed the pod's endpoint
    drain_maximum: float = 20.0  # then idle connections are closed; requests in flight still finish
    engine_restart: float = ENGINE_RESTART_SECONDS
    external: tuple[ExternalEndpoint, ...] = ()  # external models of multi-model queries
    access: Access | None = None  # None: no TLS, no other pods, no records service
    records: RecordsAccess | None = None
    order_path: Path | None = None  # the saved handover order, on the spool's volume
    spool_seconds: float = names.SPOOL_SECONDS  # after the drain began, how long spooled entries are sent

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> SidecarSettings:
        """Reads all settings. Raises SettingsError if a variable is missing or invalid."""
        text = environment.get(names.SERVING_ENV)
        if not text:
            raise SettingsError(f"{names.SERVING_ENV} is not set; the sidecar is started by the operator")
        try:
            serving = ServingSettings.from_wire(text)
        except ValidationError as error:
            raise SettingsError(f"{names.SERVING_ENV} does not fit ServingSettings: {places(error)}") from error
        access = Access.of(environment)
        if serving.tls_name and access is None:
            raise SettingsError(f"{names.ACCESS_ENV} is not set, but {names.SERVING_ENV} asks for TLS")
        return cls(
            serving=serving,
            access=access,
            host=environment.get("ONESEEK_HOST", cls.host),
            public_port=_number(environment, "ONESEEK_PORT_PUBLIC", names.PORT_PUBLIC),
            internal_port=_number(environment, "ONESEEK_PORT_INTERNAL", names.PORT_INTERNAL),
            verify_port=_number(environment, "ONESEEK_PORT_VERIFY", names.PORT_VERIFY),
            rate_limits=environment.get("ONESEEK_RATE_LIMITS", "on") != "off",
            trusted_proxies=_networks(environment, names.TRUSTED_PROXIES_ENV),
            concurrent=max(1, _number(environment, names.CONCURRENT_ENV, cls.concurrent)),
            allowed_origins=frozenset(environment.get(names.ALLOWED_ORIGINS_ENV, "").split(",")) - {""},
            access_log=environment.get("ONESEEK_LOG", "access") != "off",
            drain_minimum=_number(environment, "ONESEEK_DRAIN_MINIMUM_SECONDS", 3),
            drain_maximum=_number(environment, "ONESEEK_DRAIN_MAXIMUM_SECONDS", 20),
            engine_restart=_number(environment, "ONESEEK_ENGINE_RESTART_SECONDS", ENGINE_RESTART_SECONDS),
            external=_external(environment),
            records=_records(environment, access),
            order_path=Path(spool).with_suffix(".handover") if (spool := environment.get(names.SPOOL_ENV)) else None,
            spool_seconds=_number(environment, "ONESEEK_SPOOL_SECONDS", names.SPOOL_SECONDS),
        )


def _records(environment: Mapping[str, str], access: Access | None) -> RecordsAccess | None:
    """Reads `ONESEEK_RECORDS_URL` and `ONESEEK_SPOOL{,_BYTES}`; None without a URL."""
    url = environment.get(names.RECORDS_URL_ENV)
    if not url:
        return None
    spool = environment.get(names.SPOOL_ENV)
    for variable, there in ((names.ACCESS_ENV, access), (names.SPOOL_ENV, spool)):
        if not there:
            raise SettingsError(f"{variable} is not set, but {names.RECORDS_URL_ENV} is")
    assert access is not None  # noqa: S101 - just looked at
    limit = _number(environment, "ONESEEK_SPOOL_BYTES", _SPOOL_BYTES)
    return RecordsAccess(url, access, Path(str(spool)), limit)


def _external(environment: Mapping[str, str]) -> tuple[ExternalEndpoint, ...]:
    try:
        return _ENDPOINTS.validate_json(environment.get(names.EXTERNAL_MODELS_ENV) or "[]", extra="ignore")
    except ValidationError as error:
        sentence = f"{names.EXTERNAL_MODELS_ENV} must be a JSON list of ExternalEndpoint: {places(error)}"
        raise SettingsError(sentence) from error


def _networks(environment: Mapping[str, str], variable: str) -> Networks:
    try:
        return parse_networks(environment.get(variable, ""))
    except ValueError as error:
        raise SettingsError(f"{variable} must be networks in CIDR form, separated by commas") from error


def _number(environment: Mapping[str, str], variable: str, default: int) -> int:
    text = environment.get(variable, str(default))
    if not text.isdecimal():
        raise SettingsError(f"{variable} is {text!r}; it must be a whole number")
    return int(text)
