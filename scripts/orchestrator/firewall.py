"""A firewall that lets nobody in: rules of nftables, given to the kernel as `nft` gives them, for machines without `nft`.

    table inet shut { chain input { type filter hook input priority 0; policy drop;
        iif lo accept
        ct state established,related accept
        counter drop } }

usage: firewall.py shut | dropped     in the network namespace that is meant; `dropped` prints how many packets were

Needs root, and Linux with nf_tables and connection tracking.
"""

import socket
import struct
import sys

NETFILTER, SUBSYSTEM = 12, 10
BATCH_BEGIN, BATCH_END, ERROR, DONE = 16, 17, 2, 3
NEW_TABLE, NEW_CHAIN, NEW_RULE, GET_RULE = 0, 3, 6, 7
REQUEST, ACK, DUMP, CREATE, APPEND = 1, 4, 0x300, 0x400, 0x800
INET = 1
NESTED = 0x8000
DROP, ACCEPT = 0, 1
REGISTER = 1


def attribute(kind, value):
    data = struct.pack("=HH", 4 + len(value), kind) + value
    return data + bytes(-len(data) % 4)


def nested(kind, *parts):
    return attribute(kind | NESTED, b"".join(parts))


def text(kind, value):
    return attribute(kind, value.encode() + b"\0")


def number(kind, value):
    return attribute(kind, struct.pack(">I", value))


def message(kind, body, flags=0, family=INET, resource=0, sequence=0):
    body = struct.pack(">BBH", family, 0, resource) + body
    return struct.pack("=IHHII", 16 + len(body), kind, REQUEST | flags, sequence, 0) + body


def expression(name, *parts):
    return nested(1, text(1, name), nested(2, *parts))


def data(kind, value):
    return nested(kind, attribute(1, value))


def verdict(code):
    return expression("immediate", number(1, 0), nested(2, nested(2, number(1, code))))


def rule(*expressions):
    body = text(1, "shut") + text(2, "input") + nested(4, *expressions)
    return SUBSYSTEM << 8 | NEW_RULE, body, CREATE | APPEND


def rules():
    interface = [expression("meta", number(1, REGISTER), number(2, 4)),
                 expression("cmp", number(1, REGISTER), number(2, 0), data(3, struct.pack("=I", 1)))]
    state = [expression("ct", number(1, REGISTER), number(2, 0)),
             # Established and related.
             expression("bitwise", number(1, REGISTER), number(2, REGISTER), number(3, 4), data(4, struct.pack("=I", 6)),
                        data(5, bytes(4))),
             expression("cmp", number(1, REGISTER), number(2, 1), data(3, bytes(4)))]
    hook = nested(4, number(1, 1), number(2, 0))
    return [(SUBSYSTEM << 8 | NEW_TABLE, text(1, "shut") + number(2, 0), CREATE),
            (SUBSYSTEM << 8 | NEW_CHAIN, text(1, "shut") + text(3, "input") + hook + number(5, DROP) + text(7, "filter"), CREATE),
            rule(*interface, verdict(ACCEPT)),
            rule(*state, verdict(ACCEPT)),
            rule(expression("counter"), verdict(DROP))]


def answers(netlink):
    """The messages of the kernel, one by one."""
    while True:
        part = netlink.recv(65536)
        while len(part) >= 16:
            length, kind = struct.unpack_from("=IH", part)
            yield kind, part[16:length]
            part = part[length + 3 & ~3:]


def connected():
    netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETFILTER)
    netlink.bind((0, 0))
    netlink.settimeout(5)
    return netlink


def shut():
    with connected() as netlink:
        made = rules()
        batch = message(BATCH_BEGIN, b"", family=0, resource=SUBSYSTEM)
        for place, (kind, body, flags) in enumerate(made, 1):
            batch += message(kind, body, flags | ACK, sequence=place)
        netlink.send(batch + message(BATCH_END, b"", family=0, resource=SUBSYSTEM))
        left = len(made)
        for kind, body in answers(netlink):
            code = -struct.unpack_from("=i", body)[0] if kind == ERROR else 0
            if code:
                raise OSError(code, "the kernel refuses the rules of the firewall")
            left -= kind == ERROR
            if not left:
                return


def parts(body):
    """Attributes by kind; of a list the elements in a row."""
    found = []
    while len(body) >= 4:
        length, kind = struct.unpack_from("=HH", body)
        if length < 4:
            break
        found.append((kind & 0x3fff, body[4:length]))
        body = body[length + 3 & ~3:]
    return found


def dropped():
    with connected() as netlink:
        body = text(1, "shut") + text(2, "input")
        netlink.send(message(SUBSYSTEM << 8 | GET_RULE, body, DUMP))
        count = None
        for kind, body in answers(netlink):
            if kind in (DONE, ERROR):
                return count
            for listed in (value for kind, value in parts(body[4:]) if kind == 4):
                for _, element in parts(listed):
                    told = dict(parts(element))
                    if told[1] == b"counter\0":
                        count = struct.unpack(">Q", dict(parts(told[2]))[2])[0]


if __name__ == "__main__":
    if sys.argv[1:] == ["shut"]:
        shut()
    elif sys.argv[1:] == ["dropped"]:
        print(dropped())
    else:
        sys.exit(__doc__)
