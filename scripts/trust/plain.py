"""Routing messages over a plain TCP connection, for whoever wants to send what no command of the program would.

spec: messaging 1.5, 2.1
"""

import socket


def _head(major, number):
    """The head of a CBOR item."""
    for code, size in ((24, 1), (25, 2), (26, 4)):
        if number < 24:
            break
        if number < 1 << (8 * size):
            return bytes([major << 5 | code]) + number.to_bytes(size, "big")
    return bytes([major << 5 | number])


def _bytes(data):
    return _head(2, len(data)) + data


def _route(text):
    """`hop => 1#127.0.0.1:4000 => app`"""
    hops = [hop.strip() for hop in text.split("=>") if hop.strip()]
    out = _head(4, len(hops))
    for hop in hops:
        kind, _, name = hop.partition("#") if "#" in hop else ("0", "", hop)
        out += b"\x82" + _head(0, int(kind)) + _bytes(name.encode())
    return out


def _read(data, at):
    """One CBOR item, as far as routing messages need it: the value and where the next one begins."""
    major, low = data[at] >> 5, data[at] & 31
    at += 1
    if low >= 24:
        size = 1 << (low - 24)
        low, at = int.from_bytes(data[at:at + size], "big"), at + size
    if major == 2 or major == 3:
        return data[at:at + low], at + low
    if major == 4:
        items = []
        for _ in range(low):
            item, at = _read(data, at)
            items.append(item)
        return items, at
    return low, at


class Plain:
    """A connection to the TCP listener of a node."""

    def __init__(self, port, seconds=10):
        self.socket = socket.create_connection(("127.0.0.1", port), seconds)
        self.socket.sendall(b"\x01")
        self._exactly(1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def _exactly(self, length):
        data = b""
        while len(data) < length:
            more = self.socket.recv(length - len(data))
            if not more:
                raise ConnectionResetError("the node closed the connection")
            data += more
        return data

    def send(self, onward, payload, back="app"):
        body = b"\x83" + _route(onward) + _route(back) + _bytes(payload)
        self.socket.sendall(len(body).to_bytes(4, "big") + body)

    def receive(self):
        """The payload of the next message that is no heartbeat, and the address it was sent to."""
        while True:
            body = self._exactly(int.from_bytes(self._exactly(4), "big"))
            (onward, _, payload, *_), _ = _read(body, 0)
            if onward:
                return payload, onward[0][1].decode(errors="replace")

    def heard(self, seconds):
        """All that comes within a time, as far as the whole time has to pass to know that it is nothing."""
        heard = []
        self.socket.settimeout(seconds)
        try:
            while True:
                heard.append(self.receive())
        except TimeoutError:
            return heard
        finally:
            self.socket.settimeout(10)
