"""TCP proxies on loopback that can cut every connection, as a lift or a tunnel does."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from types import TracebackType


class Proxy:
    """Forwards to `target` (a port of loopback) once that is set; `cut()` drops all, `restore()` lets in again."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.target = 0
        self._open = threading.Event()
        self._open.set()
        self._sockets: set[socket.socket] = set()
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        self._open.clear()
        with self._lock:
            cut, self._sockets = self._sockets, set()
        for one in cut:
            _close(one)

    def restore(self) -> None:
        self._open.set()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._forward, args=(client,), daemon=True).start()

    def _forward(self, client: socket.socket) -> None:
        try:
            server = self._connect(client)
        except OSError:
            _close(client)
            return
        with self._lock:
            self._sockets |= {client, server}
        if not self._open.is_set():  # cut meanwhile
            self._drop(client, server)
            return
        threading.Thread(target=self._pump, args=(server, client), daemon=True).start()
        self._pump(client, server)

    def _connect(self, client: socket.socket) -> socket.socket:
        """Where `client` is to be led; raises OSError if it is not let in."""
        if not self._open.is_set():
            raise ConnectionRefusedError
        return socket.create_connection(("127.0.0.1", self.target))

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        self._drop(source, sink)

    def _drop(self, *sockets: socket.socket) -> None:
        with self._lock:
            self._sockets -= set(sockets)
        for one in sockets:
            _close(one)

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        _close(self._listening)
        self.cut()


class Network(Proxy):
    """The same as a SOCKS server, which a browser context is given for its network. It leads to the ports of loopback alone.

    So a page's network can be cut whatever serves the page: the server need not know of the proxy.
    """

    HANDSHAKE_S = 5.0

    @property
    def url(self) -> str:
        return f"socks5://127.0.0.1:{self.port}"

    def _connect(self, client: socket.socket) -> socket.socket:
        """RFC 1928: no authentication, CONNECT alone."""
        if not self._open.is_set():
            raise ConnectionRefusedError
        client.settimeout(self.HANDSHAKE_S)
        _read(client, _read(client, 2)[1])
        client.sendall(b"\x05\x00")
        _, _, _, kind = _read(client, 4)
        host = _read(client, {1: 4, 4: 16}.get(kind) or _read(client, 1)[0])
        (port,) = struct.unpack("!H", _read(client, 2))
        if kind == 1 and host[0] != 127:
            raise ConnectionRefusedError
        server = socket.create_connection(("127.0.0.1", port))
        client.sendall(b"\x05\x00\x00\x01" + bytes(6))
        client.settimeout(None)
        return server


def _read(client: socket.socket, length: int) -> bytes:
    """Exactly so many bytes."""
    read = b""
    while len(read) < length:
        more = client.recv(length - len(read))
        if not more:
            raise ConnectionResetError
        read += more
    return read


def _close(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()
