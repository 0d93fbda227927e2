"""Sockets between the workers of a training, and the sums that they compute over them.

Every worker is connected to every other one. What all sum up goes around in as many steps as the number of workers has
bits; for 2 to 8 workers, with what each has after a step:

    4 ─> 0   5 ─> 1   6 ─> 2   7 ─> 3       where the number is no power of two, the others send theirs first
    0 <─> 1  2 <─> 3                        0 1 | 2 3
    0 <─> 2  1 <─> 3                        0 1 2 3, in the same order of additions on each
    0 ─> 4   1 ─> 5   2 ─> 6   3 ─> 7       and get the result

Sums of integers do not depend on the order. Messages have no header, since both sides know their size: a message of a
level of a tree is a few kilobytes, and its time is that of the network, 30 us, not of its bytes.
"""

import hmac
import os
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from time import monotonic
from typing import Any

import numpy as np
import numpy.typing as npt

from ert.training.exchange import Arrays, Exchange

# Of a connection that is being made; later ones wait for the other side as long as it lives.
CONNECT_SECONDS = 60.0
# Bytes that both sides of an exchange send before they receive: they fit into the buffers of the system.
SWAP_BYTES, BUFFER_BYTES = 2**15, 2**18
# A machine that is gone without a word is noticed after that many seconds, and as many again for each of the probes.
IDLE_SECONDS, PROBE_SECONDS, N_PROBES = 15, 5, 3
NONCE_BYTES = 32


class LinkLostError(ConnectionError):
    """Another worker of the training is gone."""


class Links(Exchange):
    """What one worker exchanges with the others, over a socket to each.

    Attributes
    ----------
    n_messages, n_bytes : int
        Sent so far by this worker.
    """

    def __init__(self, rank: int, sockets: Sequence[socket.socket | None]) -> None:
        self.rank, self.n_ranks = rank, len(sockets)
        self._sockets = list(sockets)
        self.n_messages = self.n_bytes = 0
        for each in self._sockets:
            if each is not None:
                _prepare(each)

    def close(self) -> None:
        """End all connections: what waits for this worker, here or elsewhere, fails."""
        for each in self._sockets:
            if each is not None:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
                each.close()

    def sum(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the sum of the arrays of all parts."""
        return self._combine(array, np.add)

    def max(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the largest of the numbers of all parts."""
        return self._combine(array, np.maximum)

    def same(self, arrays: Arrays) -> Arrays:
        """Return the arrays of part 0."""
        result = tuple(None if array is None else np.ascontiguousarray(array) for array in arrays)
        if self.rank:
            result = tuple(None if array is None else np.empty_like(array) for array in result)
        # From those that have it to as many more, until all do.
        have = 1
        while have < self.n_ranks:
            for array in result:
                if array is None:
                    continue
                if self.rank < have <= self.rank + have < self.n_ranks:
                    self._send(self.rank + have, _bytes(array))
                elif have <= self.rank < 2 * have:
                    self._receive(self.rank - have, _bytes(array))
            have *= 2
        return result  # type: ignore[return-value]

    def gather(self, array: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        """Return in part 0 the arrays of all parts, in others nothing."""
        array = np.ascontiguousarray(array)
        lengths = np.zeros(self.n_ranks, np.int64)
        lengths[self.rank] = len(array)
        lengths = self.sum(lengths)
        if self.rank:
            self._send(0, _bytes(array))
            return []
        return [array, *(self._received(rank, array, n) for rank, n in enumerate(lengths.tolist()) if rank)]

    def join(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the rows of all parts one after another, in all parts."""
        n = int(self.sum(np.array([len(array)]))[0])
        parts = self.gather(array)
        joined = np.concatenate(parts) if parts else np.empty((n, *array.shape[1:]), array.dtype)
        return self.same((joined,))[0]

    def copy(self, array: npt.NDArray[Any], source: int, target: int) -> npt.NDArray[Any]:
        """Return in the part `target` the array of the part `source`."""
        if source == target:
            return array
        if self.rank == source:
            self._send(target, _bytes(np.ascontiguousarray(array)))
        elif self.rank == target:
            return self._received(source, array, len(array))
        return array

    def _combine(self, array: npt.NDArray[Any], operation: Callable[..., Any]) -> npt.NDArray[Any]:
        result = np.array(array, order="C")
        n_paired = 1 << (self.n_ranks.bit_length() - 1)
        further = self.rank + n_paired
        if self.rank >= n_paired:
            self._send(self.rank - n_paired, _bytes(result))
            self._receive(self.rank - n_paired, _bytes(result))
            return result
        others = np.empty_like(result)
        if further < self.n_ranks:
            self._receive(further, _bytes(others))
            operation(result, others, out=result)
        distance = 1
        while distance < n_paired:
            self._swap(self.rank ^ distance, result, others)
            operation(result, others, out=result)
            distance *= 2
        if further < self.n_ranks:
            self._send(further, _bytes(result))
        return result

    def _swap(self, rank: int, sent: npt.NDArray[Any], received: npt.NDArray[Any]) -> None:
        sending, receiving = _bytes(sent), _bytes(received)
        for first in range(0, len(sending), SWAP_BYTES):
            part = slice(first, first + SWAP_BYTES)
            self._send(rank, sending[part])
            self._receive(rank, receiving[part])

    def _send(self, rank: int, content: memoryview) -> None:
        self.n_messages += 1
        self.n_bytes += len(content)
        try:
            self._socket(rank).sendall(content)
        except OSError as error:
            raise LinkLostError(f"worker {rank} of the training: {error}") from error

    def _receive(self, rank: int, target: memoryview) -> None:
        try:
            _read_into(self._socket(rank), target)
        except OSError as error:
            raise LinkLostError(f"worker {rank} of the training: {error}") from error

    def _received(self, rank: int, like: npt.NDArray[Any], n: int) -> npt.NDArray[Any]:
        result = np.empty((n, *like.shape[1:]), like.dtype)
        self._receive(rank, _bytes(result))
        return result

    def _socket(self, rank: int) -> socket.socket:
        found = self._sockets[rank]
        assert found is not None
        return found


def _bytes(array: npt.NDArray[Any]) -> memoryview:
    return memoryview(array.reshape(-1).view(np.uint8).data)


def _read_into(source: socket.socket, view: memoryview) -> None:
    while len(view):
        n = source.recv_into(view)
        if n == 0:
            raise ConnectionResetError("the connection is closed")
        view = view[n:]


def _prepare(link: socket.socket) -> None:
    """Send at once, wait as long as the other side lives, and notice when its machine does not."""
    link.settimeout(None)
    options = [
        (socket.SOL_SOCKET, "SO_SNDBUF", BUFFER_BYTES),
        (socket.SOL_SOCKET, "SO_RCVBUF", BUFFER_BYTES),
        (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),
        (socket.IPPROTO_TCP, "TCP_NODELAY", 1),
        (socket.IPPROTO_TCP, "TCP_KEEPIDLE", IDLE_SECONDS),
        (socket.IPPROTO_TCP, "TCP_KEEPINTVL", PROBE_SECONDS),
        (socket.IPPROTO_TCP, "TCP_KEEPCNT", N_PROBES),
    ]
    for level, name, value in options:
        # Not all systems have all, and sockets within a machine need none.
        with suppress(AttributeError, OSError):
            link.setsockopt(level, getattr(socket, name), value)


def listen(host: str) -> socket.socket:
    """Return a socket that the other workers can connect to."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, 0), family=family, backlog=1024)


def connect(rank: int, listener: socket.socket, addresses: Sequence[tuple[str, int]], key: bytes) -> Links:
    """Connect to the workers before this one, and wait for those after it; each side proves that it knows the key."""
    sockets: list[socket.socket | None] = [None] * len(addresses)
    deadline = monotonic() + CONNECT_SECONDS
    try:
        for other in range(rank):
            link = sockets[other] = socket.create_connection(addresses[other], timeout=CONNECT_SECONDS)
            _introduce(link, rank, other, key)
        while any(each is None for each in sockets[rank + 1 :]):
            listener.settimeout(max(0.01, deadline - monotonic()))
            link, _ = listener.accept()
            # Whoever else connects to the port is turned away, and does not hold up the others for long.
            link.settimeout(CONNECT_SECONDS / 10)
            with suppress(OSError, ValueError):
                other = _identify(link, rank, len(addresses), key)
                if sockets[other] is None:
                    sockets[other] = link
                    continue
            link.close()
    except OSError as error:
        for each in sockets:
            if each is not None:
                each.close()
        raise LinkLostError(f"the workers cannot connect to each other: {error}") from error
    finally:
        listener.close()
    return Links(rank, sockets)


def _proof(key: bytes, nonces: bytes, sender: int, receiver: int) -> bytes:
    return hmac.digest(key, nonces + b"%d %d" % (sender, receiver), "sha256")


def _introduce(link: socket.socket, rank: int, other: int, key: bytes) -> None:
    own = os.urandom(NONCE_BYTES)
    link.sendall(rank.to_bytes(4, "big") + own)
    answer = bytearray(2 * NONCE_BYTES)
    _read_into(link, memoryview(answer))
    nonces = own + bytes(answer[:NONCE_BYTES])
    if not hmac.compare_digest(_proof(key, nonces, other, rank), bytes(answer[NONCE_BYTES:])):
        raise ConnectionRefusedError(f"worker {other} is of another training")
    link.sendall(_proof(key, nonces, rank, other))


def _identify(link: socket.socket, rank: int, n_ranks: int, key: bytes) -> int:
    greeting = bytearray(4 + NONCE_BYTES)
    _read_into(link, memoryview(greeting))
    other = int.from_bytes(greeting[:4], "big")
    if not rank < other < n_ranks:
        raise ValueError(f"worker {other}, expected {rank + 1} to {n_ranks - 1}")
    own = os.urandom(NONCE_BYTES)
    nonces = bytes(greeting[4:]) + own
    link.sendall(own + _proof(key, nonces, rank, other))
    proof = bytearray(NONCE_BYTES)
    _read_into(link, memoryview(proof))
    if not hmac.compare_digest(_proof(key, nonces, other, rank), bytes(proof)):
        raise ValueError(f"worker {other} does not know the key")
    return other
