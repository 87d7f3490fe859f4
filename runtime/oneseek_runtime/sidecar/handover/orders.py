"""Who answers in this pod's place: the operator's order, which outlives the container's process."""

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
    """A pod's internal port."""

    host: str
    port: int

    @classmethod
    def parse(cls, address: str) -> Peer:
        """An IP address, with or without a port.

        Raises:
            ValueError: it is none; names are not looked up.
        """
        try:
            return cls(str(ip_address(address)), names.PORT_INTERNAL)
        except ValueError:
            parts = urlsplit(f"//{address}")
            return cls(str(ip_address(parts.hostname or "")), parts.port or names.PORT_INTERNAL)


class Orders:
    """The order in force. `changed` rings at each new one."""

    def __init__(self, path: Path | None = None) -> None:
        self.order: Handover | None = None
        self.peers: tuple[Peer, ...] = ()
        self.changed = Signal()
        self.waiting = 0
        """Requests that wait until somebody takes them."""
        self._path = path
        self._writing = asyncio.Lock()

    @classmethod
    def load(cls, path: Path | None) -> Orders:
        """Those of the process before. An order that cannot be read holds requests back until the operator's next."""
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
        """From now on.

        Raises:
            ValueError: an address is none of a pod; the order before stands.
        """
        self.peers = tuple(Peer.parse(address) for address in order.addresses) if order else ()
        self.order = order
        self.changed.notify()

    async def write(self) -> None:
        """Write down what is in force, for the next process of this container.

        Raises:
            OSError: it cannot be written.
        """
        if self._path is not None:
            async with self._writing:
                await asyncio.to_thread(_write, self._path, self.order)


def _write(path: Path, order: Handover | None) -> None:
    """No fsync: the volume goes with the pod, so only the process's end must not lose it."""
    if order is None:
        path.unlink(missing_ok=True)
        return
    half = path.with_name(path.name + ".new")
    half.write_text(order.model_dump_json(by_alias=True))
    half.replace(path)
