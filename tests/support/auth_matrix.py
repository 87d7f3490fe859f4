"""Which route wants what of whom, read off the sidecar's own route table, and the table of docs/reference/auth.md that says so.

PYTHONPATH=core:runtime:tests python -m support.auth_matrix     # writes the table
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from oneseek_core.serving.settings import ServingSettings
from oneseek_runtime.sidecar.api.auth import right_of
from oneseek_runtime.sidecar.api.table import operations

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs/reference/auth.md"
BEGIN, END = "<!-- table: written by `python -m support.auth_matrix` -->", "<!-- end of table -->"
# Posts that change nothing; every other one is wrapped with `needs`.
OPEN = {
    "/api/admin/training/start",
    "/api/oqt/query",
    "/api/oqt/multi-model-query",
    "/v1/chat/completions",
    "/v1/completions",
    "/infer",
    "/infer-legacy",
    "/inference/llama",
    "/inference/mistral",
    "/inference/oneseek",
    "/api/inference/infer",
    "/api/models/merge",
    "/api/models/merge/quick",
    "/api/models/gguf/export",
    "/api/models/gguf/set-active",
}
COLUMNS = {
    "none": "no token",
    "expired": "expired",
    "revoked": "of an account that was deleted",
    "audience": "of another audience",
    "namespace": "right in another namespace only",
    "reader": "may only read",
    "editor": "may write, lacks the verb",
    "right": "has the right",
}
_REFUSED = {
    "none": 401,
    "expired": 401,
    "revoked": 401,
    "audience": 401,
    "namespace": 403,
    "reader": 403,
    "editor": 403,
}
SERVING = ServingSettings(model="MODEL", namespace="NS", family="F", base_name="b", base_path="/b")


@dataclass(frozen=True)
class Row:
    """A route that takes posts, and the right it wants; empty: it is open."""

    path: str
    right: str

    def expected(self, column: str) -> int | None:
        """The status of a refusal; None: it is let in."""
        return _REFUSED.get(column) if self.right else None


def rows() -> list[Row]:
    """Every public route that takes posts."""
    found = []
    for operation in operations():
        if operation.method == "POST":
            right = right_of(operation.endpoint) if operation.endpoint else None
            found.append(Row(operation.path, str(right(SERVING)) if right else ""))
    return sorted(found, key=lambda row: row.path)


def table() -> str:
    """The table as Markdown."""
    lines = [f"| route | needs | {' | '.join(COLUMNS.values())} |", "| --- " * (len(COLUMNS) + 2) + "|"]
    for row in rows():
        cells = [str(row.expected(column) or "let in") for column in COLUMNS]
        right = f"`{row.right}`" if row.right else "nothing"
        lines.append(f"| `POST {row.path}` | {right} | {' | '.join(cells)} |")
    lines.append("| every `GET` | nothing |" + " let in |" * len(COLUMNS))
    return "\n".join(lines)


def expire(token: str, key: Path) -> str:
    """The same token as the API server would have made it a day ago; signed with the API server's own key."""
    head, body, _ = token.split(".")
    claims = json.loads(_decode(body))
    claims |= {name: claims[name] - 86_400 for name in ("iat", "nbf", "exp") if name in claims}
    signed = f"{head}.{_encode(json.dumps(claims).encode())}".encode()
    private = serialization.load_pem_private_key(key.read_bytes(), None)
    if isinstance(private, rsa.RSAPrivateKey):
        signature = private.sign(signed, padding.PKCS1v15(), hashes.SHA256())
    elif isinstance(private, ec.EllipticCurvePrivateKey):
        first, second = decode_dss_signature(private.sign(signed, ec.ECDSA(hashes.SHA256())))
        signature = first.to_bytes(32, "big") + second.to_bytes(32, "big")
    else:
        raise TypeError(type(private))
    return f"{signed.decode()}.{_encode(signature)}"


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def main() -> None:
    """Write the table."""
    text = DOCUMENT.read_text()
    before, rest = text.split(BEGIN)
    DOCUMENT.write_text(f"{before}{BEGIN}\n{table()}\n{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    main()
