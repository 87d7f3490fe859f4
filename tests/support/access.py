"""Tokens and certificates as the operator gives them to a model's parts, for the apps and processes of tests."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp

from oneseek_core import names
from oneseek_core.roles import Role, token_digest
from oneseek_operator.certificates import Issued

__all__ = ["ACCEPTED", "AUTHORITY", "HERE", "NAME", "TOKENS", "access_folder", "asking", "headers", "trust"]

TOKENS = {role: f"the-token-of-{role}" for role in Role}
ACCEPTED = {str(role): token_digest(token) for role, token in TOKENS.items()}
AUTHORITY = Issued.authority(datetime.now(UTC))
NAME = names.serving_name("demo", "team", "u-1")
HERE = "localhost"  # what a records service's certificate names here


def access_folder(folder: Path, role: Role, *, host: str = NAME) -> Path:
    """What is mounted into a pod of that role."""
    folder.mkdir(parents=True, exist_ok=True)
    leaf = AUTHORITY.leaf(host, datetime.now(UTC))
    files = {"token": TOKENS[role] + "\n", "ca.crt": AUTHORITY.certificate}
    for name, text in {**files, "tls.crt": leaf.certificate, "tls.key": leaf.key}.items():
        (folder / name).write_text(text)
    return folder


def headers(role: Role) -> dict[str, str]:
    """As who a request is sent."""
    return {"Authorization": f"Bearer {TOKENS[role]}"}


def trust() -> ssl.SSLContext:
    """For a client of this model's parts."""
    context = ssl.create_default_context(cadata=AUTHORITY.certificate)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


def asking(role: Role = Role.OPERATOR, *, tls: bool = True) -> dict[str, Any]:
    """What aiohttp is told with each request to a serving pod's internal port."""
    secured: dict[str, Any] = {"ssl": trust(), "server_hostname": NAME} if tls else {}
    return {**secured, "headers": headers(role), "timeout": aiohttp.ClientTimeout(total=60)}
