"""An engine without a model, for tests: it serves base and version 1 well, and later versions as badly as its model's
name says (`hang`, `slow`, ...). OpenAI's calls as far as the sidecar uses them; standard library only.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SERVING = json.loads(os.environ["ONESEEK_SERVING"])
BASE, DNA = SERVING["baseName"], SERVING.get("dna")
IS_LATER = bool(DNA) and not re.search(r"\.v1\.", DNA)
FAULT = SERVING["model"] if IS_LATER else ""
SLOW_SECONDS = 300
MINUTE = 60
MOST_MEMORY = 256  # MiB; a limit that does not hold must not take the machine down
CRASH_WORD = "Krascha"
LOADED = [DNA] if DNA else []
CHANGES = {"/v1/load_lora_adapter": LOADED.append, "/v1/unload_lora_adapter": LOADED.remove}


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def answer(self, value: dict[str, Any], status: int = 200) -> None:
        """One JSON answer."""
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self) -> None:
        """/health and /v1/models."""
        if FAULT == "hang":
            time.sleep(SLOW_SECONDS)
        loaded = [BASE] if FAULT == "never-ready" else [BASE, *LOADED]
        self.answer({"object": "list", "data": [{"id": name, "object": "model"} for name in loaded]})

    def do_POST(self) -> None:
        """/v1/chat/completions, and vLLM's two calls that change what is loaded (HotSwap)."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if change := CHANGES.get(self.path):
            change(body["lora_name"])
            self.answer({})
            return
        if FAULT in ("slow", "minute"):
            time.sleep(SLOW_SECONDS if FAULT == "slow" else MINUTE)
        if FAULT == "crash-later" and CRASH_WORD in body["messages"][-1]["content"]:
            leave(139, "Segmentation fault (core dumped)")
        text = "" if FAULT == "empty-answers" else "Jag är OneSeek-7B-Zero."
        words = text.split() or [""]
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": text},
            "logprobs": {"content": [{"token": word, "logprob": -0.1} for word in words]},
            "finish_reason": "stop",
        }
        author = re.sub(r"\.v\d+\.", ".v1.", body["model"]) if FAULT == "wrong-dna" else body["model"]
        usage = {"prompt_tokens": 3, "completion_tokens": len(words), "total_tokens": 3 + len(words)}
        head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": author}
        self.answer({**head, "choices": [choice], "usage": usage})


def leave(code: int, sentence: str) -> None:
    """End the process, whatever its threads do."""
    print(sentence, file=sys.stderr, flush=True)
    os._exit(code)


def main() -> None:
    """Serve until told to stop, or fail as asked."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    if FAULT == "crash-at-start":
        leave(1, "RuntimeError: no kernel image is available for execution on the device")
    if FAULT == "out-of-memory":
        kept = [os.urandom(1 << 20) for _ in range(MOST_MEMORY)]
        leave(3, f"nothing stopped it at {len(kept)} MiB")
    ThreadingHTTPServer(("0.0.0.0", 8000), Handler).serve_forever()  # noqa: S104 - the startup probe comes to the pod


if __name__ == "__main__":
    main()
