"""Builds ockam and shows its quick start: a web server reached through an encrypted portal over the relay of an Orchestrator.

usage: ./demo [--keep]

  --keep    leave the nodes and the web server running, and say how to stop them

It starts an Orchestrator and a node, each a background process, in a home of its own under the temporary directory, and
touches nothing else. Then it says how the same is done between two machines.
Set OCKAM_DEMO_BINARY to use a program that is built already.
"""

import argparse
import json
import os
import pathlib
import secrets
import shutil
import signal
import socket
import string
import subprocess
import sys
import tempfile
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

    def run(self, why, command, show=True, check=None):
        """Prints a sentence and the real command, runs it in a shell, prints what it answered."""
        if show:
            say(f"\n{why}")
            say("$ " + command.replace(" | ", " \\\n    | "))
        result = subprocess.run(
            ["sh", "-c", command], env=self.environment, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, errors="replace", timeout=COMMAND_SECONDS,
        )
        good = result.returncode == 0 and (check is None or check(result.stdout))
        self.note_nodes()
        if not good:
            raise Failed(
                f"this command failed with exit code {result.returncode}:\n\n$ {command}\n"
                f"{result.stdout}\n{result.stderr}".rstrip() + self.node_logs())
        if show and result.stdout.strip():
            say("\n".join("  " + line for line in result.stdout.replace("\r", "").strip().splitlines()))
        return result.stdout

    def note_nodes(self):
        """Remembers the process of every node, so that the end can be checked."""
        if not hasattr(self, "binary"):
            return
        try:
            listed = subprocess.run(
                [self.binary, "node", "list", "--output", "json"], env=self.environment, stdin=subprocess.DEVNULL,
                capture_output=True, text=True, timeout=COMMAND_SECONDS)
            for node in json.loads(listed.stdout or "[]"):
                pid = node.get("pid") or (node.get("status") or {}).get("pid")
                if pid:
                    self.nodes.add(int(pid))
        except (OSError, ValueError, AttributeError, subprocess.TimeoutExpired):
            pass

    def node_logs(self):
        text = ""
        for log in sorted((self.work / "home" / "nodes").glob("*/*.log")):
            lines = log.read_text(errors="replace").splitlines()[-30:]
            if lines:
                text += f"\n\nThe end of {log.parent.name}/{log.name}:\n" + "\n".join(lines)
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
                 f"curl --silent --show-error --max-time 20 --head 127.0.0.1:{inlet}", check=lambda out: " 200 " in out)
        seconds = time.monotonic() - start
        page = self.run("", f"curl --silent --show-error --max-time 20 127.0.0.1:{inlet}/index.html", show=False)
        if marker not in page:
            raise Failed(f"the page that came through the portal does not hold the marker:\n{page}")
        say(f"\n  The page with the marker came through the portal. From `ockam enroll` to the answer it took {seconds:.1f} s.")
        self.second_story()
        self.inlet = inlet

    def second_story(self):
        say("\nThe same between two machines that no connection reaches from outside")
        say("  where both reach it  ockam orchestrator start --listen 0.0.0.0:6252 --public-address HOST:6252")
        say("                       ockam enroll; ockam orchestrator invite --project ID --role admin, once for each machine")
        say("  each machine         ockam enroll FILE, with what was printed")
        say("  beside the database  ockam tcp-outlet create --to 5432; ockam relay create postgres")
        say("  beside the client    ockam tcp-inlet create --from 15432 --via postgres; psql --host localhost --port 15432")

    def stop(self):
        """Stops and removes everything; tells what is left, if anything."""
        if hasattr(self, "binary"):
            try:
                subprocess.run([self.binary, "node", "delete", "--all", "--yes"], env=self.environment,
                               stdin=subprocess.DEVNULL, capture_output=True, timeout=COMMAND_SECONDS)
            except (OSError, subprocess.TimeoutExpired):
                pass
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
