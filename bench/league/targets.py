"""The programs at the far end."""

import hashlib
import multiprocessing
import os
import selectors
import shutil
import socket
import subprocess
import threading
import time

from .processes import free_port, listening, wait_for

VERIFIED_BYTES = 16 * 2**20


class Echo(multiprocessing.get_context("fork").Process):
    """Says one byte to whoever connects, so that they know to be there from end to end; then returns what it gets.

    A process, so that its open files are not those of the connections' other ends."""

    def __init__(self):
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.port = self.listener.getsockname()[1]

    def run(self):
        selector = selectors.DefaultSelector()
        self.listener.setblocking(False)
        selector.register(self.listener, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is self.listener:
                    try:
                        connection, _ = self.listener.accept()
                        connection.sendall(b".")
                    except OSError:
                        continue
                    selector.register(connection, selectors.EVENT_READ)
                    continue
                try:
                    got = key.fileobj.recv(4096)
                    if got:
                        key.fileobj.sendall(got)
                except OSError:
                    got = b""
                if not got:
                    selector.unregister(key.fileobj)
                    key.fileobj.close()


class Files(threading.Thread):
    """Takes a file and tells its digest, then gives another."""

    def __init__(self):
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.content = os.urandom(VERIFIED_BYTES)

    def run(self):
        while True:
            connection, _ = self.listener.accept()
            # Who only looks whether somebody listens says nothing.
            with connection:
                try:
                    got = received(connection, VERIFIED_BYTES)
                    if len(got) == VERIFIED_BYTES:
                        connection.sendall(hashlib.sha256(got).digest() + self.content)
                except OSError:
                    pass


def received(connection, length):
    parts, left = [], length
    while left and (part := connection.recv(min(left, 1 << 20))):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def verify(contender, files):
    """Sends a file through it each way and compares digests: what does not carry every byte is not measured."""
    sent = os.urandom(VERIFIED_BYTES)
    with socket.create_connection(("127.0.0.1", contender.ports["files"]), timeout=60) as connection:
        connection.sendall(sent)
        answer = received(connection, 32 + VERIFIED_BYTES)
    right = hashlib.sha256(sent).digest(), hashlib.sha256(files.content).digest()
    if (answer[:32], hashlib.sha256(answer[32:]).digest()) != right:
        raise SystemExit(f"{contender.name} does not carry every byte")


def start_targets(work):
    ports = {name: free_port() for name in ("bulk", "small", "pages")}
    (work / "pages").mkdir()
    (work / "pages" / "index.html").write_text("x" * 128)
    (work / "nginx.conf").write_text(f"""
        daemon off; pid {work}/nginx.pid; error_log {work}/nginx.log; worker_processes 1;
        events {{ worker_connections 8192; }}
        http {{
            access_log off; client_body_temp_path {work}/b; proxy_temp_path {work}/p; fastcgi_temp_path {work}/f;
            uwsgi_temp_path {work}/u; scgi_temp_path {work}/s;
            server {{ listen 127.0.0.1:{ports['pages']} backlog=4096; root {work}/pages; }}
        }}""")
    nginx = shutil.which("nginx") or "/usr/sbin/nginx"
    commands = [
        ["iperf3", "--server", "--bind", "127.0.0.1", "--port", str(ports["bulk"])],
        ["redis-server", "--port", str(ports["small"]), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
         "--dir", str(work)],
        [nginx, "-e", f"{work}/nginx.log", "-c", f"{work}/nginx.conf", "-p", str(work)],
    ]
    log = (work / "targets.log").open("wb")
    children = [subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log) for command in commands]
    for name in ("small", "pages"):
        wait_for(name, lambda port=ports[name]: listening(port))
    time.sleep(0.3)
    echo, files = Echo(), Files()
    echo.start()
    files.start()
    ports |= {"idle": echo.port, "files": files.port}
    return ports, children, files
