"""The operator's handover order: which pods answer instead of this one. It survives a restart of the container."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import ValidationError

from oneseek_core import names
from oneseek_core.serving.handover import Handover
from oneseek_runtime.log import say
from oneseek_runtime.sidecar.state_changes import Signal

__all__ = ["Orders", "Peer"]


@dataclass(frozen=True, slots=True)
class Peer:
    """Address and port of a pod."""

    host: str
    port: int

    @classmethod
    def parse(cls, address: str) -> Peer:
        """Parses an IP address with or without a port. Raises ValueError; names are not resolved."""
        try:
            return cls(str(ip_address(address)), names.PORT_INTERNAL)
        except ValueError:
            parts = urlsplit(f"//{address}")
            return cls(str(ip_address(parts.hostname or "")), parts.port or names.PORT_INTERNAL)


class Orders:
    """The order in force; `changed` is notified at each new one."""

    def __init__(self, path: Path | None = None) -> None:
        self.order: Handover | None = None
        self.peers: tuple[Peer, ...] = ()
        self.changed = Signal()
        self.waiting = 0  # requests that wait for a pod
        self._path = path
        self._writing = asyncio.Lock()

    @classmethod
    def load(cls, path: Path | None) -> Orders:
        """Reads the order of the previous process. An unreadable order holds requests back until the operator's next."""
        orders = cls(path)
        if path is None:
            return orders
        try:
            orders.set(Handover.from_wire(path.read_bytes()))
        except FileNotFoundError:
            return orders
        except (OSError, ValidationError, ValueError) as error:
            say("the order to hand requests over cannot be read; they wait for the next", error=repr(error))
            orders.set(Handover())
        return orders

    def set(self, order: Handover | None) -> None:
        """Put an order in force. Raises ValueError for an invalid address; the order before stays."""
        self.peers = tuple(Peer.parse(address) for address in order.addresses) if order else ()
        self.order = order
        self.changed.notify()

    async def write(self) -> None:
        """Save the order in force for the container's next process. Raises OSError."""
        if self._path is not None:
            async with self._writing:
                await asyncio.to_thread(_write, self._path, self.order)


def _write(path: Path, order: Handover | None) -> None:
    """Without fsync: the volume is the pod's own, so only the end of the process must not lose the order."""
    if order is None:
        path.unlink(missing_ok=True)
        return
    half = path.with_name(path.name + ".new")
    half.write_text(order.model_dump_json(by_alias=True))
    half.replace(path)
