"""Who takes part. Each has a port for every target, and processes by what they do on the way."""

import json
import os
import pathlib
import shutil
import subprocess

from .processes import end, free_port, listening, output, start, wait_for

HOPS = ("inlet", "relay", "outlet")


class Direct:
    """One TCP hop, nothing between."""

    name = "direct"
    holds_idle = False

    def __init__(self, _work, targets):
        self.ports, self.pids = dict(targets), {}

    def stop(self):
        pass


class Socat:
    """Three forwarders in plain text: for each target three processes in a row."""

    name = "socat"
    # A process for each connection and hop: ten thousand of them are no comparison.
    holds_idle = False

    def __init__(self, _work, targets):
        self.children, self.ports = [], {}
        self.pids = {hop: [] for hop in HOPS}
        for target, port in targets.items():
            for hop in reversed(HOPS):
                listen = free_port()
                child = start(["socat", "-b", "65536", f"TCP4-LISTEN:{listen},bind=127.0.0.1,fork,reuseaddr,backlog=4096,nodelay",
                               f"TCP4:127.0.0.1:{port},nodelay"])
                self.children.append(child)
                self.pids[hop].append(child.pid)
                wait_for("socat", lambda listen=listen: listening(listen))
                port = listen
            self.ports[target] = port

    def stop(self):
        end(self.children)


class Stunnel:
    """Two processes with TLS between them."""

    name = "stunnel"
    holds_idle = True

    def __init__(self, work, targets):
        work = work / "stunnel"
        work.mkdir()
        output(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
                "/CN=bench", "-keyout", str(work / "key.pem"), "-out", str(work / "certificate.pem")])
        common = "foreground = yes\npid =\nsyslog = no\nsocket = l:TCP_NODELAY=1\nsocket = r:TCP_NODELAY=1\n"
        near, far = common, common + f"cert = {work}/certificate.pem\nkey = {work}/key.pem\n"
        self.ports = {}
        for target, port in targets.items():
            inner, self.ports[target] = free_port(), free_port()
            far += f"[{target}]\naccept = 127.0.0.1:{inner}\nconnect = 127.0.0.1:{port}\n"
            near += f"[{target}]\nclient = yes\naccept = 127.0.0.1:{self.ports[target]}\nconnect = 127.0.0.1:{inner}\n"
        (work / "near.conf").write_text(near)
        (work / "far.conf").write_text(far)
        self.children = [start(["stunnel", str(work / f"{side}.conf")]) for side in ("near", "far")]
        self.pids = {"inlet": [self.children[0].pid], "outlet": [self.children[1].pid]}
        for port in self.ports.values():
            wait_for("stunnel", lambda port=port: listening(port))

    def stop(self):
        end(self.children)


class Rathole:
    """Two processes with the Noise protocol between them."""

    name = "rathole"
    holds_idle = True

    def __init__(self, work, targets):
        work = work / "rathole"
        work.mkdir()
        private, public = (line for line in output(["rathole", "--genkey"]).splitlines() if line and not line.endswith(":"))
        control = free_port()
        tcp = "[{0}.transport.tcp]\nnodelay = true\n"
        server = (f'[server]\nbind_addr = "127.0.0.1:{control}"\ndefault_token = "bench"\n[server.transport]\ntype = "noise"\n'
                  f'[server.transport.noise]\nlocal_private_key = "{private}"\n' + tcp.format("server"))
        client = (f'[client]\nremote_addr = "127.0.0.1:{control}"\ndefault_token = "bench"\n[client.transport]\ntype = "noise"\n'
                  f'[client.transport.noise]\nremote_public_key = "{public}"\n' + tcp.format("client"))
        self.ports = {}
        for target, port in targets.items():
            self.ports[target] = free_port()
            server += f'[server.services.{target}]\nbind_addr = "127.0.0.1:{self.ports[target]}"\nnodelay = true\n'
            client += f'[client.services.{target}]\nlocal_addr = "127.0.0.1:{port}"\nnodelay = true\n'
        (work / "server.toml").write_text(server)
        (work / "client.toml").write_text(client)
        self.children = [start(["rathole", f"--{side}", str(work / f"{side}.toml")]) for side in ("server", "client")]
        self.pids = {"inlet": [self.children[0].pid], "outlet": [self.children[1].pid]}
        for port in self.ports.values():
            wait_for("rathole", lambda port=port: listening(port))

    def stop(self):
        end(self.children)


class Ockam:
    """Three nodes; for each target an outlet, and an inlet that reaches it through the relay in a secure channel."""

    name = "ockam"
    holds_idle = True
    # How inlet and outlet come to the relay.
    way = ""

    def __init__(self, work, targets, binary, name=None):
        self.binary, self.name = binary, name or self.name
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("OCKAM")}
        self.home = work / self.name.replace(" ", "-").replace(",", "")
        self.environment["OCKAM_HOME"] = str(self.home)
        self.ports = {}
        for node in HOPS:
            self.run("node", "create", node)
        self.run("relay", "create", "outlet", "--at", f"/node/relay{self.way}", "--to", "/node/outlet")
        for target, port in targets.items():
            self.run("tcp-outlet", "create", "--at", "outlet", "--from", target, "--to", f"127.0.0.1:{port}")
            self.ports[target] = free_port()
            self.run("tcp-inlet", "create", target, "--at", "inlet", "--from", f"127.0.0.1:{self.ports[target]}", "--to",
                     f"/node/relay{self.way}/service/forward_to_outlet/secure/api/service/{target}")
        listed = {node.get("node_name") or node.get("name"): node for node in json.loads(self.run("node", "list", "--output", "json"))}
        self.pids = {hop: [int(listed[hop].get("pid") or listed[hop]["status"]["pid"])] for hop in HOPS}

    def run(self, *arguments):
        return output([self.binary, *arguments], environment=self.environment)

    def stop(self):
        subprocess.run([self.binary, "node", "delete", "--all", "--yes"], env=self.environment, capture_output=True,
                       stdin=subprocess.DEVNULL, timeout=60)


class SealedTwice(Ockam):
    """The route of the quick start: the channel from end to end runs inside channels to the relay."""

    name = "ockam, sealed twice"
    way = "/secure/api"


class Published(Ockam):
    """The published program, if there is one."""

    name = "published ockam"


def found(binary, published):
    """What starts each contender that can take part here, and why others cannot."""
    makers = {"direct": Direct}
    absent = {}
    for contender, program, package in ((Socat, "socat", "Debian package socat"), (Stunnel, "stunnel", "Debian package stunnel4"),
                                        (Rathole, "rathole", "`cargo install rathole`")):
        if shutil.which(program) and (contender is not Stunnel or shutil.which("openssl")):
            makers[contender.name] = contender
        else:
            absent[contender.name] = f"not found ({package})"
    if published:
        makers[Published.name] = lambda work, targets: Published(work, targets, pathlib.Path(published).resolve())
    else:
        absent[Published.name] = "not given (--published)"
    makers[Ockam.name] = lambda work, targets: Ockam(work, targets, binary)
    makers[SealedTwice.name] = lambda work, targets: SealedTwice(work, targets, binary)
    return makers, absent
