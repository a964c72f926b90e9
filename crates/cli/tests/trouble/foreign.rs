//! Programs of others as clients and targets, which know nothing of the portal between them.

use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A foreign server that ends with the test.
struct Server(Child);

impl Server {
    fn start(command: &mut Command, log: &Path) -> Self {
        let log = std::fs::File::create(log).unwrap();
        Self(
            command
                .stdin(Stdio::null())
                .stdout(log.try_clone().unwrap())
                .stderr(log)
                .spawn()
                .unwrap_or_else(|error| panic!("{command:?}: {error}")),
        )
    }

    fn runs(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a foreign client to its end; it must succeed.
fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{command:?}: {text}");
    text
}

mod needs_psql {
    mod needs_pgbench {
        use std::os::unix::fs::{PermissionsExt, chown};
        use std::os::unix::process::CommandExt;
        use std::path::PathBuf;
        use std::process::Command;
        use std::time::Duration;

        use super::super::{Server, run};
        use crate::portal::Portal;
        use crate::process::wait_until;
        use crate::traffic::free_port;
        use crate::trial::Trial;

        #[test]
        fn postgresql_answers_psql_and_pgbench_through_the_portal() {
            let trial = Trial::alone();
            let postgres = Postgres::start(&trial);
            let target = format!("127.0.0.1:{}", postgres.port);
            let portal = Portal::open(&trial, target.parse().unwrap());
            let inlet = portal.inlet.port();

            // A million rows out, half a million in, and a value that is larger than any chunk.
            let direct = psql(postgres.port, ROWS);
            assert_eq!(psql(inlet, ROWS), direct);
            assert_eq!(
                psql(
                    inlet,
                    "select md5(string_agg(md5(n::text), '')) from generate_series(1, 200000) n"
                ),
                psql(
                    postgres.port,
                    "select md5(string_agg(md5(n::text), '')) from generate_series(1, 200000) n"
                )
            );
            let rows: String = (0..50_000).map(|n| format!("{n}\tvalue {n}\n")).collect();
            let file = trial.directory().join("rows.tsv");
            std::fs::write(&file, rows).unwrap();
            let copy = format!(
                "create table t (n int, v text); \\copy t from '{}'\nselect count(*), md5(string_agg(v, ',' order by n)) from t",
                file.display()
            );
            let script = trial.directory().join("copy.sql");
            std::fs::write(&script, copy.replace("; \\copy", ";\n\\copy")).unwrap();
            let answer = run(client("psql", inlet)
                .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-f"])
                .arg(&script));
            assert_eq!(
                answer.trim(),
                psql(
                    postgres.port,
                    "select count(*), md5(string_agg(v, ',' order by n)) from t"
                )
                .trim()
            );
            assert!(answer.starts_with("50000|"), "{answer}");

            run(client("pgbench", inlet).args(["-i", "-q", "-s", "1"]));
            // One connection for every transaction, then twenty that stay.
            for options in [
                ["-C", "-c4", "-j2", "-t25"],
                ["-Mprepared", "-c20", "-j2", "-t100"],
            ] {
                let report = run(client("pgbench", inlet).args(["-n"]).args(options));
                assert!(
                    report.contains("number of failed transactions: 0 "),
                    "{report}"
                );
                eprintln!("{report}");
            }
        }

        fn psql(port: u16, query: &str) -> String {
            run(client("psql", port).args([
                "-X",
                "-q",
                "-A",
                "-t",
                "-v",
                "ON_ERROR_STOP=1",
                "-c",
                query,
            ]))
        }

        fn client(program: &str, port: u16) -> Command {
            let mut command = Command::new(program);
            command
                .env("PGHOST", "127.0.0.1")
                .env("PGPORT", port.to_string())
                .env("PGUSER", "tester")
                .env("PGDATABASE", "postgres")
                .env("PGCONNECT_TIMEOUT", "20");
            command
        }

        /// A throw-away server on loopback, below the trial's directory.
        struct Postgres {
            port: u16,
            _server: Server,
        }

        impl Postgres {
            fn start(trial: &Trial) -> Self {
                let folder = trial.directory().join("postgres");
                std::fs::create_dir(&folder).unwrap();
                // The server refuses to be root.
                let user = rustix::process::geteuid().is_root().then(|| {
                    let user = ids_of("postgres");
                    std::fs::set_permissions(trial.directory(), PermissionsExt::from_mode(0o755))
                        .unwrap();
                    chown(&folder, Some(user.0), Some(user.1)).unwrap();
                    user
                });
                let command = |name: &str| {
                    let mut command = Command::new(server_program(name));
                    if let Some((uid, gid)) = user {
                        command.uid(uid).gid(gid);
                    }
                    command.current_dir(&folder).env_remove("PGDATA");
                    command
                };
                let data = folder.join("data");
                run(command("initdb")
                    .args([
                        "-A",
                        "trust",
                        "-U",
                        "tester",
                        "-N",
                        "-E",
                        "UTF8",
                        "--locale=C",
                        "-D",
                    ])
                    .arg(&data));
                let port = free_port();
                let mut server = Server::start(
                    command("postgres")
                        .arg("-D")
                        .arg(&data)
                        .arg("-k")
                        .arg(&folder)
                        .args([
                            "-p",
                            &port.to_string(),
                            "-h",
                            "127.0.0.1",
                            "-c",
                            "fsync=off",
                            "-c",
                            "max_connections=100",
                        ]),
                    &trial.directory().join("postgres.log"),
                );
                wait_until("PostgreSQL is ready", Duration::from_secs(60), || {
                    assert!(
                        server.runs(),
                        "{}",
                        std::fs::read_to_string(trial.directory().join("postgres.log")).unwrap()
                    );
                    client("psql", port)
                        .args(["-X", "-c", "select 1"])
                        .output()
                        .unwrap()
                        .status
                        .success()
                });
                Self {
                    port,
                    _server: server,
                }
            }
        }

        /// Debian keeps the server's programs out of the path.
        fn server_program(name: &str) -> PathBuf {
            let versions = std::fs::read_dir("/usr/lib/postgresql")
                .into_iter()
                .flatten()
                .flatten();
            versions
                .map(|version| version.path().join("bin").join(name))
                .filter(|program| program.is_file())
                .max()
                .unwrap_or_else(|| PathBuf::from(name))
        }

        fn ids_of(user: &str) -> (u32, u32) {
            let text = std::fs::read_to_string("/etc/passwd").unwrap();
            let line = text
                .lines()
                .find(|line| line.starts_with(&format!("{user}:")))
                .unwrap();
            let mut fields = line.split(':').skip(2).map(|field| field.parse().unwrap());
            (fields.next().unwrap(), fields.next().unwrap())
        }

        const ROWS: &str =
            "select n, md5(n::text), repeat('x', 20) from generate_series(1, 200000) n";
    }
}

mod needs_redis_server {
    mod needs_redis_cli {
        mod needs_redis_benchmark {
            use std::io::{BufRead, BufReader};
            use std::process::{Command, Stdio};
            use std::time::Duration;

            use super::super::super::{Server, run};
            use crate::portal::Portal;
            use crate::process::wait_until;
            use crate::traffic::{free_port, noise};
            use crate::trial::Trial;

            #[test]
            fn redis_answers_redis_cli_and_redis_benchmark_through_the_portal() {
                let trial = Trial::alone();
                let port = free_port();
                let mut server = Server::start(
                    Command::new("redis-server")
                        .args([
                            "--port",
                            &port.to_string(),
                            "--bind",
                            "127.0.0.1",
                            "--save",
                            "",
                            "--appendonly",
                            "no",
                        ])
                        .arg("--dir")
                        .arg(trial.directory()),
                    &trial.directory().join("redis.log"),
                );
                wait_until("Redis is ready", Duration::from_secs(60), || {
                    assert!(server.runs());
                    client("redis-cli", port)
                        .arg("ping")
                        .output()
                        .unwrap()
                        .stdout
                        == b"PONG\n"
                });
                let portal = Portal::open(&trial, format!("127.0.0.1:{port}").parse().unwrap());
                let inlet = portal.inlet.port();

                assert_eq!(
                    run(client("redis-cli", inlet).args(["set", "key", "value"])),
                    "OK\n"
                );
                assert_eq!(
                    run(client("redis-cli", port).args(["get", "key"])),
                    "value\n"
                );
                // Every byte there is, larger than any chunk, in and out.
                let value = noise(3, 5_000_000);
                let file = trial.directory().join("value");
                std::fs::write(&file, &value).unwrap();
                let mut set = client("redis-cli", inlet);
                set.args(["-x", "set", "big"])
                    .stdin(std::fs::File::open(&file).unwrap());
                assert_eq!(set.output().unwrap().stdout, b"OK\n");
                let mut got = client("redis-cli", inlet)
                    .args(["--raw", "get", "big"])
                    .output()
                    .unwrap()
                    .stdout;
                assert_eq!(got.pop(), Some(b'\n'));
                assert!(got == value);
                // A connection on which the server speaks by itself.
                assert_eq!(published(inlet, port), "extra");

                for (clients, pipeline, bytes, count) in [
                    ("50", "1", "3", "10000"),
                    ("50", "16", "1000", "10000"),
                    ("4", "1", "300000", "200"),
                ] {
                    let report = run(client("redis-benchmark", inlet).args([
                        "-q", "-t", "set,get", "-c", clients, "-P", pipeline, "-d", bytes, "-n",
                        count,
                    ]));
                    assert!(
                        report.contains("GET:") && !report.contains("Error"),
                        "{report}"
                    );
                }
            }

            /// What a subscriber behind the portal hears of what is published in front of it.
            fn published(inlet: u16, port: u16) -> String {
                let mut subscriber = client("redis-cli", inlet)
                    .args(["subscribe", "news"])
                    .stdout(Stdio::piped())
                    .spawn()
                    .unwrap();
                let heard = BufReader::new(subscriber.stdout.take().unwrap());
                wait_until("somebody listens", Duration::from_secs(60), || {
                    run(client("redis-cli", port).args(["publish", "news", "extra"])) != "0\n"
                });
                let heard = heard
                    .lines()
                    .map_while(Result::ok)
                    .find(|line| line == "extra");
                subscriber.kill().unwrap();
                subscriber.wait().unwrap();
                heard.unwrap_or_default()
            }

            fn client(program: &str, port: u16) -> Command {
                let mut command = Command::new(program);
                command.args(["-h", "127.0.0.1", "-p", &port.to_string()]);
                command
            }
        }
    }
}
