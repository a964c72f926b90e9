//! Outlets that speak TLS with their target.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustls::version::{TLS12, TLS13};

use crate::authority::{Authority, Validity, echo};
use crate::home::Home;
use crate::process::wait_until;
use crate::traffic::{Target, assert_echo, connect};
use crate::trial::Trial;

#[test]
fn a_server_with_a_certificate_of_a_private_authority_is_reached_also_after_a_restart() {
    let trial = Trial::beside_others();
    let authority = Authority::new();
    let scene = Scene::start(&trial, Some(&authority));
    let server = authority.serve("localhost", Validity::Now, &TLS13, echo);
    let older = authority.serve("127.0.0.1", Validity::Now, &TLS12, echo);
    let by_flag = scene.portal("by-flag", &format!("localhost:{} --tls", server.port()));
    let by_scheme = scene.portal("by-scheme", &format!("tls://{older}"));
    assert_echo(by_flag);
    assert_echo(by_scheme);
    assert_eq!(
        scene.home.json("tcp-outlet show by-flag --at server"),
        serde_json::json!({
            "node_name": "server",
            "worker_address": "/service/by-flag",
            "to": format!("localhost:{}", server.port()),
            "tls": true,
        })
    );

    scene.home.ok("node stop server");
    scene.run("node start server");
    for inlet in [by_flag, by_scheme] {
        wait_until("the portal is back", LONG, || answers(inlet));
        assert_echo(inlet);
    }
}

#[test]
fn a_server_that_is_not_who_it_should_be_gets_nothing_and_the_log_says_why() {
    let trial = Trial::beside_others();
    let authority = Authority::new();
    let stranger = Authority::new();
    let scene = Scene::start(&trial, Some(&authority));
    for (name, signer, host, validity, reason) in [
        (
            "unknown",
            &stranger,
            "localhost",
            Validity::Now,
            "UnknownIssuer",
        ),
        (
            "misnamed",
            &authority,
            "example.org",
            Validity::Now,
            "not valid for name \"localhost\"",
        ),
        (
            "expired",
            &authority,
            "localhost",
            Validity::Over,
            "certificate expired",
        ),
    ] {
        let heard = Arc::new(Mutex::new(0));
        let counter = heard.clone();
        let server = signer.serve(host, validity, &TLS13, move |mut stream| {
            let read = stream.read(&mut [0; 1])?;
            *counter.lock().unwrap_or_else(PoisonError::into_inner) += read;
            Ok(())
        });
        let inlet = scene.portal(name, &format!("localhost:{} --tls", server.port()));
        assert_refused_at_once(inlet);
        let target = format!("localhost:{}", server.port());
        // A log may be written a little later.
        wait_until("the log has a line with target and reason", LONG, || {
            let logs = scene.home.logs();
            logs.lines()
                .any(|line| line.contains(&target) && line.contains(reason))
        });
        assert_eq!(*heard.lock().unwrap(), 0, "{name}");
    }
}

#[test]
fn a_server_without_tls_never_sees_what_was_meant_for_it() {
    let trial = Trial::beside_others();
    let scene = Scene::start(&trial, None);
    let heard = Arc::new(Mutex::new(Vec::new()));
    let record = heard.clone();
    let plain = Target::start(move |mut stream| {
        stream.write_all(b"220 welcome\r\n")?;
        let mut bytes = Vec::new();
        drop(stream.read_to_end(&mut bytes));
        record.lock().unwrap().extend(bytes);
        Ok(())
    });
    let inlet = scene.portal("plain", &format!("tls://{}", plain.address()));
    assert_refused_at_once(inlet);
    wait_until("the connection has ended", LONG, || {
        !heard.lock().unwrap().is_empty()
    });
    let heard = heard.lock().unwrap();
    assert!(!heard.windows(SECRET.len()).any(|window| window == SECRET));
    wait_until("the log says so", LONG, || {
        scene.home.logs().contains("does not seem to speak TLS")
    });
}

mod needs_openssl {
    use std::process::{Command, Stdio};

    use super::{LONG, Scene};
    use crate::process::wait_until;
    use crate::traffic::free_port;
    use crate::trial::Trial;

    #[test]
    fn openssl_is_a_target_like_any_other() {
        let trial = Trial::beside_others();
        let port = free_port();
        let (key, certificate) = (
            trial.directory().join("key.pem"),
            trial.directory().join("certificate.pem"),
        );
        let made = Command::new("openssl")
            .args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
            ])
            .args(["-nodes", "-days", "2", "-subj", "/CN=localhost"])
            .args(["-addext", "subjectAltName=DNS:localhost"])
            // What is both root and server must not be marked as an authority.
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .arg("-keyout")
            .arg(&key)
            .arg("-out")
            .arg(&certificate)
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        // Answers every line with the same line backwards.
        let mut server = Command::new("openssl")
            .args(["s_server", "-rev", "-quiet", "-port", &port.to_string()])
            .arg("-key")
            .arg(&key)
            .arg("-cert")
            .arg(&certificate)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let scene = Scene {
            home: trial.home("home"),
            environment: format!("SSL_CERT_FILE={}", certificate.display()),
        };
        scene.create_nodes();
        let inlet = scene.portal("openssl", &format!("tls://localhost:{port}"));
        wait_until("the server answers", LONG, || {
            reversed(inlet, "hello").is_ok_and(|answer| answer == "olleh\n")
        });
        let long: String = ('a'..='z').cycle().take(3000).collect();
        let answer: String = long.chars().rev().chain(['\n']).collect();
        assert_eq!(reversed(inlet, &long).unwrap(), answer);
        server.kill().unwrap();
        server.wait().unwrap();
    }

    fn reversed(inlet: std::net::SocketAddr, line: &str) -> std::io::Result<String> {
        use std::io::{BufRead, BufReader, Write};
        let mut stream = crate::traffic::connect(inlet, LONG)?;
        stream.write_all(format!("{line}\n").as_bytes())?;
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer)?;
        Ok(answer)
    }
}

/// A node with inlets and a node with outlets, which trusts one authority or the system's.
struct Scene {
    home: Home,
    environment: String,
}

impl Scene {
    fn start(trial: &Trial, authority: Option<&Authority>) -> Self {
        let environment = match authority {
            Some(authority) => {
                let file = trial.directory().join("authority.pem");
                std::fs::write(&file, authority.root.pem()).unwrap();
                format!("SSL_CERT_FILE={}", file.display())
            }
            None => String::new(),
        };
        let home = trial.home("home");
        let scene = Self { home, environment };
        scene.create_nodes();
        scene
    }

    fn create_nodes(&self) {
        self.run("node create server");
        self.home.ok("node create client");
    }

    /// Runs `ockam` with the environment that says whom to trust.
    fn run(&self, arguments: &str) {
        self.home
            .shell(&format!("{} ockam {arguments}", self.environment))
            .success();
    }

    /// An outlet with these options behind `--to`, and an inlet to it.
    fn portal(&self, name: &str, to: &str) -> SocketAddr {
        self.home
            .ok(&format!("tcp-outlet create {name} --at server --to {to}"));
        self.home
            .ok(&format!(
                "tcp-inlet create {name} --at client --to /node/server/secure/api/service/{name}"
            ))
            .parse()
            .unwrap()
    }
}

#[track_caller]
fn assert_refused_at_once(inlet: SocketAddr) {
    let start = Instant::now();
    let result = connect(inlet, LONG).and_then(|mut stream: TcpStream| {
        stream.write_all(SECRET)?;
        stream.read(&mut [0; 1])
    });
    assert!(result.is_err(), "{result:?}");
    assert!(start.elapsed() < Duration::from_secs(3));
}

fn answers(inlet: SocketAddr) -> bool {
    crate::traffic::exchange(inlet, b"?", LONG).is_ok()
}

const SECRET: &[u8] = b"the secret of the client";
const LONG: Duration = Duration::from_secs(60);
