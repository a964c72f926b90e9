"""Builds ockam and shows its quick start: a web server reached through an encrypted portal over the relay of an Orchestrator.

usage: ./demo [--keep]

  --keep    leave the nodes and the web server running, and say how to stop them

It starts an Orchestrator and a node, each a background process, in a home of its own under the temporary directory, and
touches nothing else. Then it does the same between two machines, for which two homes stand, with PostgreSQL and psql where
they are installed, else with a web server and curl. All that reaches or leaves that Orchestrator is recorded.
Set OCKAM_DEMO_BINARY to use a program that is built already.
"""

import argparse
import contextlib
import glob
import json
import os
import pathlib
import pwd
import secrets
import shutil
import signal
import socket
import string
import subprocess
import sys
import tempfile
import textwrap
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
COMMAND_SECONDS = 60


class Failed(Exception):
    """A command that did not do what it should; the text says which one and what it printed."""


def say(text=""):
    print(text, flush=True)


def port(preferred):
    """The preferred port when nothing listens there, otherwise a free one."""
    for candidate in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", candidate))
            except OSError:
                continue
            return probe.getsockname()[1]
    raise Failed("no free port on 127.0.0.1")


def wait_for(what, condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise Failed(f"{what} is not there after {seconds} s")
        time.sleep(0.02)


def listening(number):
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", number)) == 0


class Recorder:
    """Passes connections on to a port of this machine, and keeps every byte in either direction."""

    def __init__(self, port, to):
        self.to, self.streams = to, []
        self.socket = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.socket.accept()
                far = socket.create_connection(("127.0.0.1", self.to))
                for source, sink in ((near, far), (far, near)):
                    source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    threading.Thread(target=self._copy, args=(source, sink), daemon=True).start()

    def _copy(self, source, sink):
        stream = bytearray()
        self.streams.append(stream)
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                stream += data
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)

    def holds(self, marker):
        return any(marker.encode() in stream for stream in self.streams)

    def recorded(self):
        return sum(map(len, self.streams))


class Postgres:
    """A PostgreSQL server on loopback, with a table of notes that holds a marker."""

    def __init__(self, demo, number, marker):
        folder = demo.work / "postgres"
        folder.mkdir()
        run = {"cwd": folder, "stdin": subprocess.DEVNULL, "env": {"PATH": os.environ["PATH"], "LC_ALL": "C"}}
        if os.geteuid() == 0:
            # It refuses to be root.
            user = pwd.getpwnam("postgres")
            demo.work.chmod(0o755)
            os.chown(folder, user.pw_uid, user.pw_gid)
            run |= {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        subprocess.run([self.program("initdb"), "-A", "trust", "-U", "demo", "-N", "-E", "UTF8", "-D", "data"], check=True,
                       capture_output=True, **run)
        log = (folder / "log").open("wb")
        demo.children["postgres"] = subprocess.Popen([self.program("postgres"), "-D", "data", "-k", "", "-h", "127.0.0.1", "-p",
                                                      str(number)], stdout=log, stderr=log, start_new_session=True, **run)
        notes = ["psql", "-h", "127.0.0.1", "-p", str(number), "-U", "demo", "-c",
                 f"CREATE TABLE notes AS SELECT '{marker}' AS line", "postgres"]
        wait_for("the database", lambda: subprocess.run(notes, stdin=subprocess.DEVNULL, capture_output=True).returncode == 0)

    @staticmethod
    def program(name):
        return shutil.which(name) or next(iter(sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"), reverse=True)), None)

    @classmethod
    def is_here(cls):
        if os.geteuid() == 0:
            try:
                pwd.getpwnam("postgres")
            except KeyError:
                return False
        return bool(shutil.which("psql") and cls.program("initdb") and cls.program("postgres"))


def alive(pid):
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        return state != "Z"
    except OSError:
        pass
    if pathlib.Path("/proc/self").exists():
        return False
    try:
        os.kill(pid, 0)
        return True
    except OSError:
        return False


class Demo:
    def __init__(self, keep):
        self.keep = keep
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="ockam-demo-"))
        self.children = {}
        self.nodes = set()
        self.environment = {
            name: value for name, value in os.environ.items()
            if not name.startswith("OCKAM") and name not in ("QUIET", "NO_COLOR", "NO_INPUT")
        }
        self.environment["OCKAM_HOME"] = str(self.work / "home")
        self.homes = ["home"]

    def build(self):
        binary = os.environ.get("OCKAM_DEMO_BINARY")
        if binary:
            return pathlib.Path(binary).resolve()
        command = ["cargo", "build", "--release", "--locked", "--package", "ockam-cli"]
        say("$ " + " ".join(command))
        log = self.work / "build.log"
        start = time.monotonic()
        with log.open("wb") as out:
            code = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=out).returncode
        if code != 0:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-60:])
            raise Failed(f"the build failed with exit code {code}:\n\n$ {' '.join(command)}\n{tail}")
        say(f"  Built in {time.monotonic() - start:.1f} s.")
        target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
        return (target / "release" / "ockam").resolve()

    def start(self, name, arguments):
        """A background program that is no node."""
        log = (self.work / f"{name}.log").open("wb")
        # In a session of its own, so that --keep outlives the terminal.
        child = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment,
                                 start_new_session=True)
        self.children[name] = child

    def run(self, why, command, show=True, check=None, home="home"):
        """Prints a sentence and the real command, runs it in a shell, prints what it answered."""
        if show:
            if why:
                say(f"\n{why}")
            say(f"{'' if home == 'home' else home}$ " + command.replace(" | ", " \\\n    | "))
        result = subprocess.run(
            ["sh", "-c", command], env=self.environment | {"OCKAM_HOME": str(self.work / home)}, cwd=self.work,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=COMMAND_SECONDS,
        )
        good = result.returncode == 0 and (check is None or check(result.stdout))
        if home not in self.homes:
            self.homes.append(home)
        self.note_nodes(home)
        if not good:
            raise Failed(
                f"this command failed with exit code {result.returncode}:\n\n$ {command}\n"
                f"{result.stdout}\n{result.stderr}".rstrip() + self.node_logs())
        if show and result.stdout.strip():
            printed = textwrap.dedent(result.stdout.replace("\r", "").strip("\n"))
            say("\n".join("  " + line.rstrip() for line in printed.splitlines()))
        return result.stdout

    def note_nodes(self, home):
        """Remembers the process of every node, so that the end can be checked."""
        if not hasattr(self, "binary"):
            return
        try:
            listed = subprocess.run(
                [self.binary, "node", "list", "--output", "json"], env=self.environment | {"OCKAM_HOME": str(self.work / home)},
                stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=COMMAND_SECONDS)
            for node in json.loads(listed.stdout or "[]"):
                pid = node.get("pid") or (node.get("status") or {}).get("pid")
                if pid:
                    self.nodes.add(int(pid))
        except (OSError, ValueError, AttributeError, subprocess.TimeoutExpired):
            pass

    def node_logs(self):
        text = ""
        for log in sorted(self.work.glob("*/nodes/*/*.log")):
            lines = log.read_text(errors="replace").splitlines()[-30:]
            if lines:
                text += f"\n\nThe end of {log.relative_to(self.work)}:\n" + "\n".join(lines)
        return text

    def job(self):
        self.binary = self.build()
        self.environment["PATH"] = f"{self.binary.parent}{os.pathsep}{self.environment.get('PATH', '')}"
        start = time.monotonic()

        web, inlet = port(6000), port(7000)
        letters = string.ascii_letters + string.digits
        marker = "".join(secrets.choice(letters) for _ in range(64))
        pages = self.work / "pages"
        pages.mkdir()
        (pages / "index.html").write_text(f"<p>{marker}</p>\n")

        say("\nA web server that only this machine can reach. One of its pages is a marker of 64 random letters.")
        say(f"$ python3 -m http.server --bind 127.0.0.1 {web} &")
        self.start("web", [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(web), "--directory", str(pages)])
        wait_for("the web server", lambda: listening(web))

        start = time.monotonic()
        self.run("An Orchestrator on this machine, which nobody else reaches, and a project of our own in it.", "ockam enroll")
        self.run("An outlet: a node opens connections to the web server for members of the project.",
                 f"ockam tcp-outlet create --to {web}")
        self.run("The node registers with the relay of the project; it needs no listening port that the outside can reach.",
                 "ockam relay create")
        self.run("An inlet: a port of this machine that leads through the relay, in an encrypted channel, to the outlet.",
                 f"ockam tcp-inlet create --from {inlet}")
        self.run("The client talks to a port of its own machine and reaches the web server.",
                 f"curl --head 127.0.0.1:{inlet}", check=lambda out: " 200 " in out)
        seconds = time.monotonic() - start
        page = self.run("", f"curl --silent --show-error --max-time 20 127.0.0.1:{inlet}/index.html", show=False)
        if marker not in page:
            raise Failed(f"the page that came through the portal does not hold the marker:\n{page}")
        say(f"\n  The page with the marker came through the portal. From `ockam enroll` to the answer it took {seconds:.1f} s.")
        self.second_story(web, marker)
        self.inlet = inlet

    def second_story(self, web, marker):
        """Two machines; the homes stand for them, and a recorder for whoever looks at the lines."""
        start = time.monotonic()
        listen, public, target, inlet = port(6253), port(6254), port(5432), port(15432)
        recorder = Recorder(public, listen)
        say("\nThe same between two machines. An Orchestrator runs where both reach it; they themselves need not be reached by anybody.")
        say("Here a home of its own stands for each machine, and every byte to or from the Orchestrator goes through a recorder.")
        self.run("", f"ockam orchestrator start --listen 127.0.0.1:{listen} --public-address 127.0.0.1:{public}", home="orchestrator")
        self.run("", "ockam enroll", home="orchestrator")
        for machine in ("database", "client"):
            self.run("", f"ockam orchestrator invite --project default --role admin > {machine}.join", home="orchestrator")
        postgres = Postgres.is_here()
        if postgres:
            Postgres(self, target, marker)
            self.environment |= {"PGUSER": "demo", "PGDATABASE": "postgres", "PGCONNECT_TIMEOUT": "20"}
        else:
            say("\n  PostgreSQL and psql are not installed here: the web server and curl stand for them.")
            target = web
        self.run("Beside the database, which listens on loopback:", "ockam enroll database.join", home="database")
        self.run("", f"ockam tcp-outlet create --to {target}", home="database")
        self.run("", "ockam relay create postgres", home="database")
        self.run("Beside the client:", "ockam enroll client.join", home="client")
        self.run("", f"ockam tcp-inlet create --from {inlet} --via postgres", home="client")
        if postgres:
            query = f"psql --host localhost --port {inlet} --command 'SELECT line FROM notes'"
        else:
            query = f"curl --silent 127.0.0.1:{inlet}/index.html"
        self.run("", query, check=lambda out: marker in out, home="client")
        if recorder.holds(marker):
            raise Failed("the marker passed the Orchestrator in clear")
        control = secrets.token_hex(32)
        with socket.create_connection(("127.0.0.1", public)) as clear:
            clear.sendall(control.encode())
            wait_for("a marker that is sent in clear", lambda: recorder.holds(control))
        say(f"\n  The marker came from the database; it is not among the {recorder.recorded()} bytes that reached or left the Orchestrator.")
        say(f"  Another marker, sent there in clear, was found at once: the search works. All of this took {time.monotonic() - start:.1f} s.")
        for home in ("client", "database", "orchestrator"):
            self.delete_nodes(home)
        if postgres:
            database = self.children.pop("postgres")
            database.terminate()
            database.wait(COMMAND_SECONDS)

    def delete_nodes(self, home):
        if hasattr(self, "binary"):
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                subprocess.run([self.binary, "node", "delete", "--all", "--yes"], stdin=subprocess.DEVNULL, capture_output=True,
                               env=self.environment | {"OCKAM_HOME": str(self.work / home)}, timeout=COMMAND_SECONDS)

    def stop(self):
        """Stops and removes everything; tells what is left, if anything."""
        for home in self.homes:
            self.delete_nodes(home)
        for child in self.children.values():
            child.terminate()
        for child in self.children.values():
            try:
                child.wait(5)
            except subprocess.TimeoutExpired:
                child.kill()
        end = time.monotonic() + 10
        while any(map(alive, self.nodes)) and time.monotonic() < end:
            time.sleep(0.05)
        left = [pid for pid in self.nodes if alive(pid)]
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        shutil.rmtree(self.work, ignore_errors=True)
        if self.work.exists():
            left.append(self.work)
        return left

    def say_next(self):
        say("\nWhat to do next")
        say("  ./demo --keep        the same, and leave it running to try things out")
        say("  ./check              run every test")
        say("  cargo install --path crates/cli --locked")
        say("                       put `ockam` on the path; `ockam --help` lists its commands")
        say("  README.md            the picture, and where the documents are")


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--keep", action="store_true", help="leave everything running")
    options = arguments.parse_args()

    def interrupted(*_):
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupted)
    demo = Demo(options.keep)
    try:
        demo.job()
    except Failed as problem:
        say(f"\nThe demo stopped: {problem}")
        demo.stop()
        return 1
    except subprocess.TimeoutExpired as problem:
        say(f"\nThe demo stopped: this command did not end within {COMMAND_SECONDS} s:\n\n$ {problem.cmd[-1]}{demo.node_logs()}")
        demo.stop()
        return 1
    except KeyboardInterrupt:
        say("\nInterrupted.")
        demo.stop()
        return 130
    except BaseException:
        demo.stop()
        raise
    if options.keep:
        pids = " ".join(str(child.pid) for child in demo.children.values())
        say("\nEverything is still running:")
        say(f"  curl 127.0.0.1:{demo.inlet}")
        say("To stop and remove it:")
        say(f"  export OCKAM_HOME={demo.work}/home")
        say(f"  {demo.binary} node delete --all --yes; kill {pids}; rm -r {demo.work}")
        return 0
    left = demo.stop()
    if left:
        say(f"\nThe demo stopped: this was still there after the end: {left}")
        return 1
    say("  Every node and the web server were stopped, and their files removed.")
    demo.say_next()
    return 0


if __name__ == "__main__":
    sys.exit(main())
