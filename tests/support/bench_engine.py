"""An engine that costs next to nothing: canned answers over keep-alive HTTP/1.1. `python bench_engine.py PORT`.

Plain answers are one write; with `"stream":true` in the body, five server-sent events, each written by itself.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import uvloop

BODY = (
    b'{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"base","choices":[{"index":0,"message":'
    b'{"role":"assistant","content":"' + b"x" * 400 + b'"},"logprobs":null,"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":3,"completion_tokens":9,"total_tokens":12}}'
)
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(BODY) + BODY
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
EVENT = b'data: {"choices":[{"index":0,"delta":{"content":"ord "}}]}\n\n'
CHUNK = b"%x\r\n%s\r\n" % (len(EVENT), EVENT)
EVENTS = 5
EVENT_SECONDS = 0.002


class Engine(asyncio.Protocol):
    """One connection; answers come in the order of the requests."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport  # uvloop's own are no asyncio.Transport
        self.data = b""

    def data_received(self, data: bytes) -> None:
        self.data += data
        while (end := self.data.find(b"\r\n\r\n")) >= 0:
            head = self.data[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self.data) < end + 4 + length:
                return
            body, self.data = self.data[end + 4 : end + 4 + length], self.data[end + 4 + length :]
            if b'"stream":true' in body:
                self.transport.write(HEAD + CHUNK)
                self._later(EVENTS - 1)
            else:
                self.transport.write(ANSWER)

    def _later(self, left: int) -> None:
        if left:
            self.transport.write(CHUNK)
            asyncio.get_running_loop().call_later(EVENT_SECONDS, self._later, left - 1)
        else:
            self.transport.write(b"0\r\n\r\n")


async def main(port: int) -> None:
    """Serve until killed."""
    server = await asyncio.get_running_loop().create_server(Engine, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
