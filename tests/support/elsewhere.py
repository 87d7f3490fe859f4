"""A model elsewhere: a small OpenAI-compatible server that wants a key, as a program (stdlib only) and as objects of a cluster.

KEY=... TEXT=... python elsewhere.py PORT
"""

from __future__ import annotations

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

PORT = 8000
RESTRICTED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


class Handler(BaseHTTPRequestHandler):
    """Answers every chat with TEXT, and says 401 without the key."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.headers.get("Authorization") != f"Bearer {os.environ['KEY']}":
            self.answer(401, {"error": {"message": "no such key", "type": "invalid_request_error"}})
            return
        said = {"role": "assistant", "content": f"{os.environ['TEXT']} ({asked['messages'][-1]['content']})"}
        choice = {"index": 0, "message": said, "finish_reason": "stop"}
        usage = {"prompt_tokens": 1, "completion_tokens": 7, "total_tokens": 8}
        head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": asked["model"]}
        self.answer(200, {**head, "choices": [choice], "usage": usage})

    def answer(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def objects(namespace: str, image: str, *, key: str, text: str) -> list[dict[str, Any]]:
    """The program as a pod behind the Service `elsewhere`."""

    def meta(name: str, **more: Any) -> dict[str, Any]:
        return {"name": name, "namespace": namespace, **more}

    container = {
        "name": "model",
        "image": image,
        "command": ["python", "/program/elsewhere.py", str(PORT)],
        "env": [{"name": "KEY", "value": key}, {"name": "TEXT", "value": text}],
        "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
        "volumeMounts": [{"name": "program", "mountPath": "/program"}],
        "securityContext": RESTRICTED,
    }
    pod = {
        "securityContext": {"runAsNonRoot": True, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
        "volumes": [{"name": "program", "configMap": {"name": "elsewhere"}}],
        "terminationGracePeriodSeconds": 1,
    }
    return [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": meta("elsewhere"),
            "data": {"elsewhere.py": Path(__file__).read_text()},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": meta("elsewhere"),
            "spec": {"selector": {"app": "elsewhere"}, "ports": [{"port": PORT}]},
        },
        {"apiVersion": "v1", "kind": "Pod", "metadata": meta("elsewhere", labels={"app": "elsewhere"}), "spec": pod},
    ]


if __name__ == "__main__":
    ThreadingHTTPServer(("0.0.0.0", int(sys.argv[1])), Handler).serve_forever()  # noqa: S104 - a pod's
