//! A second user of the same machine, who may run the program and see the processes, and nothing else.

mod needs_root {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixStream;
    use std::os::unix::process::CommandExt;
    use std::path::{Path, PathBuf};

    use crate::home::{Done, Home, finish, program};
    use crate::portal::Portal;
    use crate::process::runs;
    use crate::traffic::{Target, assert_echo};
    use crate::trial::Trial;

    #[test]
    fn a_second_user_cannot_list_steer_stop_or_read_a_node() {
        let trial = Trial::beside_others();
        let target = Target::echo();
        let portal = Portal::open(&trial, target.address());
        let other = Other::new(&trial);
        let secret_name = "tcp-outlet create very-secret-name --at server --to 127.0.0.1:9";
        portal.server.ok(secret_name);
        let node = portal.server_node();

        for line in [
            "node list",
            "node show server",
            "node stop server",
            "node delete server --yes",
            "node delete --all --yes",
            "node logs server",
            "node start server",
            "node create another",
            "tcp-outlet list --at server",
            "tcp-outlet create mine --at server --to 127.0.0.1:1",
            "tcp-outlet delete very-secret-name --at server --yes",
            "tcp-inlet create mine --at server --to /service/outlet",
            "identity show --full",
            "identity list",
            "relay list --to server",
            "secure-channel list --at server",
            "message send hello --from server --to /service/uppercase",
        ] {
            let done = other.ockam(portal.server.path(), line);
            for text in [&done.out, &done.err] {
                assert!(
                    !text.contains("very-secret-name") && !text.contains("HELLO"),
                    "{done:#?}"
                );
            }
            assert_eq!(done.code, Some(70), "{line}: {done:#?}");
        }
        // Without the program's help: the files, the socket, the process.
        for path in everything_below(portal.server.path()) {
            let done = other.run("cat", &[path.to_str().unwrap()]);
            assert_ne!(done.code, Some(0), "{} can be read", path.display());
            assert!(done.out.is_empty());
        }
        let sockets: Vec<PathBuf> = everything_below(portal.server.path())
            .into_iter()
            .filter(|path| UnixStream::connect(path).is_ok())
            .collect();
        assert!(
            !sockets.is_empty(),
            "the control socket must be among the files for this test to mean something"
        );
        for file in ["environ", "mem", "maps", "fd", "cwd"] {
            let path = format!("/proc/{}/{file}", node.pid);
            let done = other.run("sh", &["-c", &format!("cat {path} || ls {path}/")]);
            assert!(done.out.is_empty(), "{path} can be read: {done:#?}");
        }
        assert_ne!(
            other
                .run("sh", &["-c", &format!("kill -TERM {}", node.pid)])
                .code,
            Some(0)
        );

        assert!(runs(node.pid));
        assert_echo(portal.inlet);
    }

    /// Sockets of homes with long paths lie in a directory that anybody could make.
    #[test]
    fn a_second_user_cannot_take_the_socket_directory_of_a_long_home() {
        let trial = Trial::beside_others();
        let other = Other::new(&trial);
        let runtime = trial.directory().join("runtime");
        std::fs::create_dir(&runtime).unwrap();
        std::fs::set_permissions(&runtime, PermissionsExt::from_mode(0o777)).unwrap();
        let trap = runtime.join("ockam");
        other
            .run("mkdir", &["-m", "777", trap.to_str().unwrap()])
            .success();
        let home = trial.home(&"h".repeat(150));
        let mut command = home.command(&program());
        command
            .env("XDG_RUNTIME_DIR", &runtime)
            .args(["node", "create", "n"]);
        let error = finish(command, trial.directory()).failure();
        assert!(error.contains("belongs to user"), "{error}");
    }

    mod needs_python3 {
        use super::*;

        /// The socket itself asks who connects: also when a careless administrator opened the directories.
        #[test]
        fn a_second_user_who_reaches_the_socket_is_refused_by_the_node() {
            let trial = Trial::beside_others();
            let home = trial.home("home");
            let other = Other::new(&trial);
            home.ok("node create n");
            home.ok("tcp-outlet create very-secret-name --at n --to 127.0.0.1:9");
            let run = home.path().join("run");
            for path in [home.path(), &run] {
                std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
            }
            let socket = everything_below(&run)
                .into_iter()
                .find(|path| UnixStream::connect(path).is_ok())
                .unwrap();
            std::fs::set_permissions(&socket, PermissionsExt::from_mode(0o666)).unwrap();
            let talk = format!(
                "import socket, sys\n\
                 s = socket.socket(socket.AF_UNIX)\n\
                 s.connect({:?})\n\
                 s.sendall(b'GET /node HTTP/1.1\\r\\nhost: x\\r\\n\\r\\n')\n\
                 s.settimeout(5)\n\
                 sys.stdout.write(repr(s.recv(100000)))",
                socket.to_str().unwrap()
            );
            // The owner gets an answer this way, so silence means refusal.
            let mine = std::process::Command::new("python3")
                .args(["-c", &talk])
                .output()
                .unwrap();
            assert!(
                String::from_utf8_lossy(&mine.stdout).contains("HTTP/1.1 "),
                "{mine:?}"
            );
            let done = other.run("python3", &["-c", &talk]);
            assert!(
                !done.out.contains("HTTP") && !done.out.contains("very-secret-name"),
                "{done:#?}"
            );
            assert!(home.logs().contains("control connection refused"));
        }
    }

    /// Somebody with a home of their own and a copy of the program they may run.
    struct Other {
        program: PathBuf,
        home: Home,
        directory: PathBuf,
    }

    impl Other {
        fn new(trial: &Trial) -> Self {
            // The homes must be closed by themselves, not by the directory they are in.
            std::fs::set_permissions(trial.directory(), PermissionsExt::from_mode(0o755)).unwrap();
            let directory = trial.directory().join("other");
            std::fs::create_dir(&directory).unwrap();
            std::os::unix::fs::chown(&directory, Some(NOBODY), Some(NOBODY)).unwrap();
            let copy = trial.directory().join("ockam");
            std::fs::copy(program(), &copy).unwrap();
            std::fs::set_permissions(&copy, PermissionsExt::from_mode(0o755)).unwrap();
            Self {
                program: copy,
                home: trial.home_at(directory.join("home")),
                directory: trial.directory().to_path_buf(),
            }
        }

        /// Runs the program on somebody's home.
        fn ockam(&self, home: &Path, arguments: &str) -> Done {
            let mut command = self.home.command(&self.program);
            command
                .env("OCKAM_HOME", home)
                .args(arguments.split_whitespace());
            self.finish(command)
        }

        fn run(&self, name: &str, arguments: &[&str]) -> Done {
            let mut command = self.home.command(Path::new(name));
            command.args(arguments);
            self.finish(command)
        }

        fn finish(&self, mut command: std::process::Command) -> Done {
            command.uid(NOBODY).gid(NOBODY).current_dir("/");
            finish(command, &self.directory)
        }
    }

    fn everything_below(directory: &Path) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(directory).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                found.extend(everything_below(&path));
            } else {
                found.push(path);
            }
        }
        found
    }

    const NOBODY: u32 = 65534;
}
