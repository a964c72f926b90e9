"""A PostgreSQL server for shows. Needs its `initdb`, `postgres` and `psql`."""

import contextlib
import glob
import os
import pwd
import shutil
import signal
import subprocess

from stage import free_port, must, until


class Postgres:
    """A server of this show, on loopback; of a network namespace, when the path of one is given."""

    def __init__(self, stage, port=None, namespace=None):
        self.port = port or free_port()
        folder = stage.work / "postgres"
        folder.mkdir()
        self.enter = ["nsenter", f"--net={namespace}"] if namespace else []
        run = {"cwd": folder, "stdin": subprocess.DEVNULL, "env": {"PATH": os.environ["PATH"], "LC_ALL": "C"}}
        as_user = []
        if os.geteuid() == 0:
            # It refuses to be root.
            user = pwd.getpwnam("postgres")
            os.chmod(stage.work, 0o755)
            os.chown(folder, user.pw_uid, user.pw_gid)
            if namespace:
                as_user = ["-S", str(user.pw_uid), "-G", str(user.pw_gid)]
            else:
                run |= {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        made = subprocess.run([*self.enter, *as_user, self.program("initdb"), "-A", "trust", "-U", "show", "-N", "-E", "UTF8",
                               "-D", "data"], capture_output=True, text=True, **run)
        must(made.returncode == 0, f"no database could be made:\n{made.stderr}")
        log = open(folder / "log", "wb")
        self.server = subprocess.Popen([*self.enter, *as_user, self.program("postgres"), "-D", "data", "-k", ".",
                                        "-h", "127.0.0.1", "-p", str(self.port)], stdout=log, stderr=log, **run)
        stage.closing.callback(self._end)
        until("the database answers", lambda: self.ask("SELECT 1", "postgres") == "1")
        self.ask("CREATE DATABASE orchestrator", "postgres")
        self.address = f"postgres://show@127.0.0.1:{self.port}/orchestrator"

    @staticmethod
    def program(name):
        found = shutil.which(name) or next(iter(sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"), reverse=True)), None)
        must(found, f"`{name}` of PostgreSQL is not installed")
        return found

    def ask(self, query, database="orchestrator"):
        done = subprocess.run([*self.enter, self.program("psql"), "-h", "127.0.0.1", "-p", str(self.port), "-U", "show",
                               "-Atc", query, database], capture_output=True, text=True)
        return done.stdout.strip() if done.returncode == 0 else None

    def _end(self):
        self.server.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.server.wait(20)
        self.server.kill()
