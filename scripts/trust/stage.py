"""What the shows of this folder stand on: people with homes of their own, services, clients, and an end that leaves nothing.

A show is a script with a function that is given a `Stage`; `perform` runs it, prints what failed, and cleans up. OCKAM
names the program that is shown; otherwise it is the release build, which is built when it is not there.
"""

import argparse
import contextlib
import hashlib
import json
import os
import pathlib
import pty
import re
import resource
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
COMMAND_SECONDS = 90
# Of a crowd that is told to do something.
ANSWER_SECONDS = 900
LONGEST_LINE = 150


class Failed(Exception):
    """Something was not as it must be; the text says what."""


def say(text=""):
    print(text, flush=True)


def chapter(text):
    say(f"\n## {text}")


def tell(text):
    """A sentence of the story."""
    say(f"\n{text}")


def must(condition, what):
    if not condition:
        raise Failed(what)


def until(what, condition, seconds=20, pause=0.02):
    """Waits for a condition, gives what it came to, and fails when that takes too long."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failed(f"{what}: not after {seconds} s")
        time.sleep(pause)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def shortened(line):
    """Tickets, histories and the like are longer than anybody reads."""
    line = re.sub(r"[0-9a-f]{100,}", lambda found: found[0][:24] + "..", line)
    return line if len(line) <= LONGEST_LINE else line[:LONGEST_LINE] + " .."


def shown(text):
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    lines = [line.rstrip() for line in text.replace("\r\n", "\n").split("\n")]
    lines = [shortened(line.rsplit("\r", 1)[-1]) for line in lines]
    while lines and not lines[0]:
        lines.pop(0)
    while lines and not lines[-1]:
        lines.pop()
    return "\n".join("    " + line.removeprefix("  ") for line in lines)


class Result:
    """What a command came to."""

    def __init__(self, command, code, output):
        self.command, self.code, self.output = command, code, output

    def says(self, *words):
        """Fails unless the user was told each of the words."""
        flat = " ".join(self.output.split())
        for word in words:
            must(word in flat, f"the user of `{self.command}` was not told `{word}`, but:\n{self.output}")
        return self


class Person:
    """Somebody with a home, and so with keys, of their own."""

    def __init__(self, stage, name):
        self.stage, self.name = stage, name
        self.folder = stage.work / name
        self.folder.mkdir()
        self.environment = stage.environment | {"OCKAM_HOME": str(self.folder / "ockam"), "HOME": str(self.folder)}
        # What runs their commands.
        self.shell = ["sh", "-c"]

    def get(self, command, seconds=COMMAND_SECONDS):
        """Runs a command that is no part of the story, gives what it prints."""
        done = subprocess.run([*self.shell, command], env=self.environment, cwd=self.folder, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, errors="replace", timeout=seconds)
        must(done.returncode == 0, f"{self.name}: `{command}` ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return done.stdout.strip()

    def quietly(self, command, seconds=COMMAND_SECONDS):
        """Runs a command of which only the code matters."""
        return subprocess.run([*self.shell, command], env=self.environment, cwd=self.folder, stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=seconds).returncode

    def json(self, command):
        text = self.get(f"{command} --output json")
        return json.loads(text) if text else None

    def try_(self, command, seconds=COMMAND_SECONDS):
        """Runs a command on a terminal; shows it and what its user sees."""
        say(f"\n{self.name}$ {shortened(command)}")
        code, output = on_terminal([*self.shell, command], self.environment, self.folder, seconds)
        text = shown(output)
        if text:
            say(text)
        if code:
            say(f"    [exit {code}]")
        return Result(command, code, output)

    def run(self, command, seconds=COMMAND_SECONDS):
        """The same, and it must work."""
        result = self.try_(command, seconds)
        must(result.code == 0, f"{self.name}: `{command}` ended with {result.code}")
        return result

    def refused(self, command, *words, seconds=COMMAND_SECONDS):
        """The same, and it must fail with these words."""
        result = self.try_(command, seconds)
        must(result.code not in (0, 101), f"{self.name}: `{command}` ended with {result.code}")
        return result.says(*words)

    def identifier(self):
        return self.get("ockam identity show --output plain").split()[-1]

    def port(self, node):
        """Where a node of this home listens."""
        return int(self.json(f"ockam node show {node}")["route"]["verbose"].rsplit("/", 1)[1])

    def log(self, node):
        logs = sorted((self.folder / "ockam" / "nodes" / node).glob("*.log"))
        return "\n".join(log.read_text(errors="replace") for log in logs)

    def denials(self, node):
        return self.json(f"ockam policy denials --at {node}") or []

    def deny_counts(self, node):
        """How often what was denied, by resource and rule."""
        counts = {}
        for denial in self.denials(node):
            key = (denial["resource"], denial["rule"])
            counts[key] = counts.get(key, 0) + denial["count"]
        return counts


def on_terminal(command, environment, folder, seconds):
    """Runs a command whose output is a terminal; gives its code and all it printed."""
    leader, follower = pty.openpty()
    with contextlib.ExitStack() as closing:
        closing.callback(os.close, leader)
        try:
            child = subprocess.Popen(command, env=environment, cwd=folder, stdin=subprocess.DEVNULL, stdout=follower,
                                     stderr=follower, start_new_session=True)
        finally:
            os.close(follower)
        output, end, ended = b"", time.monotonic() + seconds, False
        while True:
            ready, _, _ = select.select([leader], [], [], 0.05)
            if ready:
                try:
                    data = os.read(leader, 65536)
                except OSError:
                    data = b""
                if not data:
                    break
                output += data
            elif ended:
                break
            elif child.poll() is not None:
                # A node in the background may hold the terminal open: what is there is read once more, and no longer.
                ended = True
            elif time.monotonic() > end:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
                raise Failed(f"`{command[-1]}` did not end within {seconds} s:\n{output.decode(errors='replace')}")
        return child.wait(), output.decode(errors="replace")


class Service:
    """A TCP service on 127.0.0.1: a thread for each connection. It counts who came."""

    def __init__(self, stage, serve):
        self.serve = serve
        self.connections = 0
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        stage.closing.callback(self.socket.close)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection, contextlib.suppress(OSError):
            self.serve(connection)


def greets(text):
    """A service that says one line and hangs up."""
    return lambda connection: connection.sendall(text.encode() + b"\n")


def echoes(connection):
    """A service that gives back what it is sent."""
    while data := connection.recv(65536):
        connection.sendall(data)


def streams(connection):
    """A service that sends the bytes of `Known` without an end."""
    known = Known()
    while True:
        connection.sendall(known.take(65536))


class Known:
    """Bytes without an end that two sides make alike, so that one can verify what the other sent."""

    def __init__(self, seed=b"known"):
        self.block = b"".join(hashlib.sha256(seed + bytes([number, more])).digest() for number in range(251) for more in range(17))
        self.at = 0

    def take(self, length):
        begin = self.at % len(self.block)
        self.at += length
        data = self.block[begin:begin + length]
        while len(data) < length:
            data += self.block[:length - len(data)]
        return data


class Connection:
    """A client of a service or of an inlet."""

    def __init__(self, address, seconds=10):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), seconds)
        self.socket.settimeout(seconds)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def exactly(self, length):
        data = bytearray()
        while len(data) < length:
            more = self.socket.recv(length - len(data))
            if not more:
                raise ConnectionResetError("the connection was closed")
            data += more
        return bytes(data)


def fetch(address, seconds=10):
    """All that a service says: the text, or what a client is told instead."""
    try:
        with Connection(address, seconds) as connection:
            connection.socket.shutdown(socket.SHUT_WR)
            data = b""
            while more := connection.socket.recv(65536):
                data += more
            return data.decode(errors="replace").strip()
    except TimeoutError:
        return "(nothing comes)"
    except OSError as error:
        return f"({error.strerror or error})"


class Stage:
    def __init__(self, name):
        self.binary = program()
        self.work = pathlib.Path(tempfile.mkdtemp(prefix=f"ockam-{name}-"))
        self.closing = contextlib.ExitStack()
        self.people = {}
        # A project of its own, so that shows run beside each other.
        self.project = "demo"
        self.environment = {
            key: value for key, value in os.environ.items()
            if not key.startswith("OCKAM") and key not in ("QUIET", "NO_INPUT", "ENROLLMENT_TICKET", "CREDENTIAL_TTL_SECS")
        }
        self.environment |= {"NO_COLOR": "1", "TERM": "dumb", "LC_ALL": "C.UTF-8"}
        bin_ = self.work / "bin"
        bin_.mkdir()
        (bin_ / "ockam").symlink_to(self.binary)
        self.environment["PATH"] = f"{bin_}{os.pathsep}{self.environment.get('PATH', '')}"

    def person(self, name):
        self.people[name] = Person(self, name)
        return self.people[name]

    def service(self, serve):
        return Service(self, serve)

    def processes(self):
        """Every process that runs with a home of this stage."""
        mark = f"OCKAM_HOME={self.work}".encode()
        for folder in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if mark in (folder / "environ").read_bytes():
                    yield int(folder.name)

    def logs(self):
        text = ""
        for log in sorted(self.work.glob("*/ockam/nodes/*/*.log")):
            lines = log.read_text(errors="replace").splitlines()[-12:]
            text += f"\n\nThe end of {log.relative_to(self.work)}:\n" + "\n".join(lines)
        return text

    def stop(self):
        """Ends and removes everything; gives what is left, if anything."""
        self.closing.close()
        for person in self.people.values():
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                subprocess.run([self.binary, "node", "delete", "--all", "--yes"], env=person.environment,
                               stdin=subprocess.DEVNULL, capture_output=True, timeout=COMMAND_SECONDS)
        end = time.monotonic() + 10
        while (left := list(self.processes())) and time.monotonic() < end:
            time.sleep(0.05)
        for pid in left:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.work, ignore_errors=True)
        return left + ([self.work] if self.work.exists() else [])


def program():
    given = os.environ.get("OCKAM")
    if given:
        path = pathlib.Path(shutil.which(given) or given).resolve()
        must(path.is_file(), f"OCKAM names {given}, which is not there")
        return path
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    command = ["cargo", "build", "--release", "--locked", "--package", "ockam-cli"]
    if not (target / "release" / "ockam").exists():
        say("$ " + " ".join(command))
        must(subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL).returncode == 0, "the build failed")
    return (target / "release" / "ockam").resolve()


class Crowd:
    """An example of one of the crates in a process of its own, which plays many: an order, an answer.

    CROWD_PROFILE=debug takes the one that was built with the tests.
    """

    def __init__(self, stage, crate, example):
        usual = "release" if "release" in stage.binary.parts else "debug"
        profile = os.environ.get("CROWD_PROFILE", usual)
        self.process = subprocess.Popen([built(crate, example, profile)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, env=stage.environment, cwd=stage.work)
        stage.closing.callback(self._end)

    def do(self, order, **given):
        end = threading.Timer(ANSWER_SECONDS, self.process.kill)
        end.start()
        try:
            self.process.stdin.write(json.dumps({"do": order} | given) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            end.cancel()
        must(line, f"the others did not come to an end with `{order}`")
        return json.loads(line)

    def _end(self):
        self.process.kill()
        self.process.wait()


def built(crate, example, profile):
    """The program of an example, built when it is not up to date."""
    command = ["cargo", "build", "--locked", "--example", example]
    if profile == "release":
        # Beside the program, whose dependencies are built as they are.
        command += ["--release", "--package", "ockam-cli", "--package", crate]
    else:
        command += ["--workspace"]
    say("$ " + " ".join(command))
    must(subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL).returncode == 0, "the build failed")
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    return target / profile / "examples" / example


def all_files():
    """As many open files as this system lets this process, and those it starts, have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def authority(stage, options="", name="authority", project=None):
    """Somebody who runs an authority and makes its tickets; gives the person."""
    person = stage.person(name)
    person.run(f"ockam authority create --project-identifier {project or stage.project} --tcp-listener-address 127.0.0.1:0 {options}".rstrip())
    return person


def perform(show, described, arguments=None):
    """Runs a show from beginning to end; the code to exit with."""
    parser = argparse.ArgumentParser(description=described, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, options in (arguments or {}).items():
        parser.add_argument(name, **options)
    given = parser.parse_args()

    def interrupted(*_):
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupted)
    say(described.strip().split("\n\nusage:")[0])
    stage, code = None, 1
    began = time.monotonic()
    try:
        stage = Stage(pathlib.Path(sys.argv[0]).name)
        shown_was = show(stage, given)
        code = 0
    except Failed as problem:
        say(f"\nFAILED: {problem}{stage.logs() if stage else ''}")
    except subprocess.TimeoutExpired as problem:
        say(f"\nFAILED: `{problem.cmd[-1]}` did not end within {problem.timeout} s{stage.logs()}")
    except KeyboardInterrupt:
        say("\nInterrupted.")
        code = 130
    finally:
        left = stage.stop() if stage else []
    if left:
        say(f"\nFAILED: this was still there after the end: {left}")
        code = code or 1
    if code == 0:
        say(f"\nShown in {time.monotonic() - began:.0f} s: {shown_was}")
    return code
