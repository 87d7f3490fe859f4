"""What runs inside an attacker's pod: one JSON order a line on standard input, one JSON answer a line on standard output.

Standard library alone, and no import of ours: the program is handed to `python -c`.
"""

# An attacker's program: short, and whatever goes wrong is its answer.
# ruff: noqa: PTH112, PTH118, PTH123, PTH208, S102, BLE001

import json
import os
import socket
import ssl
import sys
import threading
import time

CONNECT_SECONDS = 2.0
ANSWER_SECONDS = 8.0
MOST = 200_000


def _tls(host, port):
    """A connection with TLS where the server speaks it; whose certificate it is does not matter to an attacker."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    plain = socket.create_connection((host, port), CONNECT_SECONDS)
    plain.settimeout(ANSWER_SECONDS)
    return context.wrap_socket(plain)


def _connected(host, port, how):
    if how != "plain":
        try:
            return _tls(host, port)
        except ssl.SSLError:
            if how == "tls":
                raise
    found = socket.create_connection((host, port), CONNECT_SECONDS)
    found.settimeout(ANSWER_SECONDS)
    return found


def raw(order):
    """Bytes to a port, and what comes back until the other side closes or is silent."""
    found = b""
    with _connected(order["host"], order["port"], order.get("how", "")) as connection:
        connection.sendall(order["data"].encode("latin-1"))
        try:
            while len(found) < MOST and (part := connection.recv(65536)):
                found += part
        except TimeoutError:
            return {"said": found.decode("latin-1") or "no answer: silent"}
    return {"said": found.decode("latin-1") or "no answer: closed"}


def http(order):
    """One request; the answer's status and text."""
    body = order.get("body") or ""
    headers = {"Host": order["host"], "Connection": "close", "Content-Length": str(len(body.encode()))}
    if body:
        headers["Content-Type"] = "application/json"
    headers.update(order.get("headers") or {})
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    text = f"{order['method']} {order['path']} HTTP/1.1\r\n{head}\r\n".encode() + body.encode()
    said = raw({**order, "data": text.decode("latin-1")})["said"]
    if not said.startswith("HTTP/"):
        return {"said": said}
    return {
        "status": int(said.split(" ", 2)[1]),
        "said": said.partition("\r\n\r\n")[2].encode("latin-1").decode(errors="replace"),
    }


def read(order):
    """A file's text, or a folder's names."""
    path = order["path"]
    if os.path.isdir(path):
        return {"said": "\n".join(sorted(os.listdir(path)))}
    with open(path, "rb") as file:
        return {"said": file.read(MOST).decode(errors="replace")}


def write(order):
    """Make or change a file."""
    with open(order["path"], order.get("mode", "w")) as file:
        file.write(order["text"])
    return {"said": "written"}


def call(order):
    """A function of `os` by name."""
    found = getattr(os, order["name"])(*order["arguments"])
    return {"said": f"done: {found}"}


def find(order):
    """Every file below the roots whose name or text has the words, and every variable; for secrets that lie about."""
    found = [
        f"{name}={value}" for name, value in os.environ.items() if any(word in name + value for word in order["words"])
    ]
    for root in order["roots"]:
        for folder, _, files in os.walk(root):
            for name in files:
                try:
                    with open(os.path.join(folder, name), "rb") as file:
                        text = file.read(65536).decode("latin-1")
                except OSError:
                    continue
                if any(word in text for word in order["words"]):
                    found.append(os.path.join(folder, name))
    return {"said": "\n".join(found) or "nothing found"}


def python(order):
    """Whatever needs more than a line: a block that leaves its answer in `said`."""
    names = {"order": order}
    exec(order["block"], names)  # the attacker's own code, in the attacker's own pod
    return {"said": str(names.get("said", "done"))}


HITS, HEARD = [], []


def listen(order):
    """Take connections on ports from now on, and answer each with the same bytes."""

    def take(server):
        while True:
            connection, peer = server.accept()
            HITS.append(peer[0])
            try:
                connection.settimeout(1)
                HEARD.append(connection.recv(65536))
                connection.sendall(order["answer"].encode("latin-1"))
            except OSError:
                pass
            connection.close()

    for port in order["ports"]:
        threading.Thread(target=take, args=(socket.create_server(("", port)),), daemon=True).start()
    return {"said": "listening"}


def hits(order):
    """Who connected since `listen`, of the addresses asked about."""
    until = time.monotonic() + order["seconds"]
    while time.monotonic() < until and not set(order["of"]) & set(HITS):
        time.sleep(0.1)
    came = sorted(set(order["of"]) & set(HITS))
    return {"said": "asked by " + ", ".join(came) if came else "nobody asked"}


def heard(order):
    """Whether anybody showed a token to the ports that were listened at."""
    until = time.monotonic() + order["seconds"]
    while time.monotonic() < until and not any(b"earer " in data for data in HEARD):
        time.sleep(0.1)
    return {"said": "a token came" if any(b"earer " in data for data in HEARD) else "no token came"}


def obey(order):
    """One order; an error is its name."""
    try:
        return globals()[order["do"]](order)
    except (TimeoutError, ConnectionError, socket.gaierror, ssl.SSLError) as error:
        return {"said": f"no connection: {type(error).__name__}: {error}"}
    except OSError as error:
        if error.errno in (101, 113):  # no route
            return {"said": f"no connection: {error.strerror}"}
        return {"said": error.strerror or str(error)}
    except Exception as error:
        return {"said": f"{type(error).__name__}: {error}"}


for line in sys.stdin:
    print(json.dumps(obey(json.loads(line))), flush=True)
