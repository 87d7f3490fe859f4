"""What a client of the public port says: orders in disguise, other people's names, frames that two servers read differently."""

from __future__ import annotations

from support.tenant.attempt import Attempt, Refusal, Who, answer
from support.tenant.calls import python, raw, web

__all__ = ["ATTEMPTS"]

CLIENT = Who.CLIENT
_NO_SUCH = answer("sidecar", 404, "")
_RESET = {"confirm": "RESET"}
_NEEDS = answer("sidecar", 401, "token")
_MAY_NOT = answer("sidecar", 403, "may not")
_CHAT = "/v1/chat/completions"

_ENDLESS = """
import socket, time
server = socket.create_connection(("$service", 80), 5)
server.sendall(b"GET / HTTP/1.1\\r\\nHost: x\\r\\nX: " + b"a" * 60_000)
time.sleep(1)  # it has read that when the rest comes, so that its answer is not lost to a reset
server.sendall(b"a" * 8_000)
server.settimeout(8)
said = server.recv(65536).decode("latin-1")
"""


def bytes_to(text: str) -> object:
    """Bytes to the public port."""
    return raw("$service", 80, text)


def _sends(*lines: str) -> str:
    return "\n".join(lines)


_UNLOAD = 'POST /v1/unload_lora_adapter HTTP/1.1\nHost: engine\nContent-Length: 26\n\n{"lora_name": "$current"}  '

ATTEMPTS = (
    Attempt("read the internal state at the public port", CLIENT, web("GET", "/internal/state"), _NO_SUCH),
    Attempt("order a swap at the public port", CLIENT, web("POST", "/internal/swap", {"serial": 2**53}), _NO_SUCH, "H1"),
    Attempt("the same in capitals, encoded and with dots", CLIENT, web("POST", "/API/%2e%2e/Internal//swap", {"serial": 2**53}), _NO_SUCH),
    Attempt("name the internal port in the request line", CLIENT, web("POST", "http://127.0.0.1:8081/internal/swap", {"serial": 2**53}), _NO_SUCH),
    Attempt("name the engine in the Host header", CLIENT, web("POST", "/v1/unload_lora_adapter", {"lora_name": "$current"}, Host="127.0.0.1:8000"), _NO_SUCH),
    Attempt("have an adapter loaded through the OpenAI API", CLIENT, web("POST", "/v1/load_lora_adapter", {"lora_name": "x", "lora_path": "/tmp"}), _NO_SUCH),
    Attempt("ask for a version that does not answer, by its DNA", CLIENT, web("POST", _CHAT, {"model": "$first", "messages": [{"role": "user", "content": "a"}]}), answer("sidecar", 404, "model")),
    Attempt("download a version's weights", CLIENT, web("GET", "/models/$current/adapter_model.safetensors"), _NO_SUCH, "held"),
    Attempt("leave the versions' folder", CLIENT, web("GET", "/models/$current/..%2f..%2f..%2f..%2fetc%2fpasswd"), _NO_SUCH, "held"),
    Attempt("reset without a token", CLIENT, web("POST", "/api/models/reset", _RESET), _NEEDS),
    Attempt("reset in a proxy's name", CLIENT, web("POST", "/api/models/reset", _RESET, X_Remote_User="admin", X_Forwarded_User="admin", Impersonate_User="admin"), _NEEDS),
    Attempt("reset with a token for the API server", CLIENT, web("POST", "/api/models/reset", _RESET, Authorization="Bearer $api_token"), _NEEDS, "held"),
    Attempt("reset with a token whose claims were changed", CLIENT, web("POST", "/api/models/reset", _RESET, Authorization="Bearer ${promoter_token}x"), _NEEDS),
    Attempt("reset with the right to look", CLIENT, web("POST", "/api/models/reset", _RESET, Authorization="Bearer $viewer_token"), _MAY_NOT),
    Attempt("set the current version with the right to look", CLIENT, web("POST", "/api/models/set-current", {"modelId": "$first"}, Authorization="Bearer $viewer_token"), _MAY_NOT),
    Attempt("set the current version with the right to write models", CLIENT, web("POST", "/api/models/set-current", {"modelId": "$first"}, Authorization="Bearer $author_token"), _MAY_NOT),
    Attempt("set the current version with a right in another namespace", CLIENT, web("POST", "/api/models/set-current", {"modelId": "$first"}, Authorization="Bearer $neighbour_token"), _MAY_NOT),
    Attempt("set a version that no run made", CLIENT, web("POST", "/api/models/set-current", {"modelId": "../../mine"}, Authorization="Bearer $promoter_token"), answer("sidecar", 404, "")),
    Attempt("train without a token", CLIENT, web("POST", "/api/oqt/train", {"questions": ["a"]}), _NEEDS),
    Attempt("teach in a batch without a token", CLIENT, web("POST", "/api/oqt/micro-train", {"question": "a", "rawResponses": [{"model": "m", "response": "b"}]}), _NEEDS),
    Attempt("smuggle a second request by two lengths", CLIENT, bytes_to(_sends("POST /v1/chat/completions HTTP/1.1", "Host: x", "Content-Length: 4", "Transfer-Encoding: chunked", "", "0", "", _UNLOAD)), answer("sidecar", 0, "400 Bad Request")),
    Attempt("smuggle by two different Content-Lengths", CLIENT, bytes_to(_sends("POST /v1/chat/completions HTTP/1.1", "Host: x", "Content-Length: 2", "Content-Length: 60", "", "{}" + _UNLOAD)), answer("sidecar", 0, "400 Bad Request")),
    Attempt("smuggle by a chunk's extension", CLIENT, bytes_to(_sends("POST /v1/chat/completions HTTP/1.1", "Host: x", "Connection: close", "Transfer-Encoding: xchunked", "", "0", "", _UNLOAD)), answer("sidecar", 0, "400 Bad Request")),
    Attempt("listen to what others taught, from a foreign page", CLIENT, bytes_to(_sends("GET /ws/training?runId=micro-training HTTP/1.1", "Host: model.example", "Origin: https://mallory.example", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Version: 13", "", "")), Refusal("sidecar", "this page's origin is not in spec.serving.cors.allowedOrigins")),
    Attempt("set the current version by a colleague's browser, from a foreign page", CLIENT, web("POST", "/api/models/set-current", {"modelId": "$first"}, Origin="https://mallory.example", Authorization="Bearer $promoter_token"), answer("sidecar", 403, "may not change this model"), "M8"),
    Attempt("send an endless head", CLIENT, python(_ENDLESS), answer("sidecar", 0, "431 Request Header Fields Too Large"), "held"),
    Attempt("send a million brackets", CLIENT, bytes_to("POST /api/oqt/query HTTP/1.1\nHost: x\nConnection: close\nContent-Type: application/json\nContent-Length: 1000000\n\n" + "[" * 1_000_000), Refusal("sidecar", "HTTP/1.1 4"), "held"),
)  # fmt: skip
