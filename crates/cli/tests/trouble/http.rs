//! Inlets that add headers to HTTP requests.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use crate::portal::Portal;
use crate::process::wait_until;
use crate::traffic::{Target, connect};
use crate::trial::Trial;

#[test]
fn what_is_not_http_is_reset_and_the_log_says_so() {
    let trial = Trial::beside_others();
    let target = Target::echo();
    let portal = Portal::open(&trial, target.address());
    let inlet = add_inlet(&portal, "web", &["X-User: me"]);
    for content in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01"[..],
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    ] {
        let mut client = connect(inlet, LONG).unwrap();
        client.write_all(content).unwrap();
        client.read(&mut [0; 1]).unwrap_err();
    }
    wait_until("the log names the inlet and the reasons", LONG, || {
        let logs = portal.client.logs();
        logs.contains("inlet web: this is not HTTP/1.1")
            && logs.contains("inlet web: Content-Length is given twice, beside Transfer-Encoding")
    });
}

#[test]
fn a_connection_that_was_upgraded_carries_anything_also_after_a_restart() {
    let trial = Trial::beside_others();
    let target = Target::start(|stream| {
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut users = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            if line == "\r\n" {
                break;
            }
            if line.to_ascii_lowercase().starts_with("x-user") {
                users.push(line);
            }
        }
        assert_eq!(users, ["X-User: me\r\n"]);
        let mut stream = stream;
        stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\n\r\n")?;
        std::io::copy(&mut reader, &mut stream).map(drop)
    });
    let portal = Portal::open(&trial, target.address());
    let inlet = add_inlet(&portal, "web", &["X-User: me"]);
    let upgraded = || {
        let mut client = connect(inlet, LONG)?;
        client.write_all(
            b"GET / HTTP/1.1\r\nx-user: you\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n",
        )?;
        let mut answer = vec![0; 51];
        client.read_exact(&mut answer)?;
        client.write_all(b"\0\x16 anything\n")?;
        let mut echo = [0; 12];
        client.read_exact(&mut echo)?;
        std::io::Result::Ok(echo)
    };
    assert_eq!(&upgraded().unwrap()[..11], b"\0\x16 anything");

    portal.client.ok("node stop client");
    portal.client.ok("node start client");
    wait_until("the inlet is back, headers and all", LONG, || {
        upgraded().is_ok_and(|echo| echo.ends_with(b"\n"))
    });
}

mod needs_curl {
    mod needs_python3 {
        use std::process::{Child, Command, Stdio};

        use serde_json::Value;
        use sha2::{Digest, Sha256};

        use super::super::{LONG, add_inlet};
        use crate::portal::Portal;
        use crate::process::wait_until;
        use crate::traffic::{free_port, noise};
        use crate::trial::Trial;

        #[test]
        fn a_foreign_server_sees_the_headers_in_every_request_of_a_foreign_client() {
            let trial = Trial::alone();
            let port = free_port();
            let script = trial.directory().join("server.py");
            std::fs::write(&script, SERVER).unwrap();
            let mut server = Server(
                Command::new("python3")
                    .arg(&script)
                    .arg(port.to_string())
                    .stdin(Stdio::null())
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .spawn()
                    .unwrap(),
            );
            wait_until("the server listens", LONG, || {
                assert!(server.0.try_wait().unwrap().is_none());
                std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
            });
            let portal = Portal::open(&trial, format!("127.0.0.1:{port}").parse().unwrap());
            let headers = ["X-User: me", "Host: inner.example"];
            let url = format!("http://{}/echo", add_inlet(&portal, "web", &headers));

            // Several requests on one connection.
            let answers = curl(&["-H", "x-user: you", "-H", "X-Other: yes", &url, &url, &url]);
            assert_eq!(answers.len(), 3);
            let ports: Vec<&Value> = answers.iter().map(|answer| &answer["peer"]).collect();
            assert!(ports.iter().all(|peer| *peer == ports[0]), "{ports:?}");
            for answer in &answers {
                assert_eq!(answer["x-user"], serde_json::json!(["me"]));
                assert_eq!(answer["host"], serde_json::json!(["inner.example"]));
                assert_eq!(answer["x-other"], serde_json::json!(["yes"]));
            }

            // Content of ten megabytes: with its length, with `Expect`, and in chunks; then a request behind it.
            let content = noise(9, 10_000_000);
            let digest = hex(&Sha256::digest(&content));
            let file = trial.directory().join("content");
            std::fs::write(&file, &content).unwrap();
            let upload = file.to_str().unwrap();
            for how in [
                "Expect:",
                "Expect: 100-continue",
                "Transfer-Encoding: chunked",
            ] {
                let answers = curl(&["-H", how, "-T", upload, &url, "--next", "-s", &url]);
                assert_eq!(answers.len(), 2, "{how}");
                assert_eq!(answers[0]["digest"], Value::from(digest.clone()), "{how}");
                for answer in answers {
                    assert_eq!(answer["x-user"], serde_json::json!(["me"]), "{how}");
                }
            }

            // What comes back is as it was sent.
            let back = Command::new("curl")
                .args(["-sS", "-T", upload, &url.replace("/echo", "/back")])
                .output()
                .unwrap();
            assert!(back.status.success(), "{back:?}");
            assert!(back.stdout == content);
        }

        /// The answers, which are JSON in a line each.
        fn curl(arguments: &[&str]) -> Vec<Value> {
            let output = Command::new("curl")
                .arg("-sS")
                .args(arguments)
                .output()
                .unwrap();
            assert!(output.status.success(), "{output:?}");
            let text = String::from_utf8(output.stdout).unwrap();
            text.lines()
                .map(|line| serde_json::from_str(line).unwrap())
                .collect()
        }

        fn hex(bytes: &[u8]) -> String {
            bytes.iter().map(|byte| format!("{byte:02x}")).collect()
        }

        struct Server(Child);

        impl Drop for Server {
            fn drop(&mut self) {
                drop(self.0.kill());
                drop(self.0.wait());
            }
        }

        /// Tells what it was asked with, or returns the content.
        const SERVER: &str = r#"
import hashlib, json, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def content(self):
        if self.headers.get("Transfer-Encoding") == "chunked":
            content = b""
            while size := int(self.rfile.readline(), 16):
                content += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return content
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def do_GET(self):
        content = self.content()
        if self.path == "/back":
            answer = content
        else:
            seen = {name.lower(): self.headers.get_all(name) for name in self.headers.keys()}
            seen["digest"] = hashlib.sha256(content).hexdigest()
            seen["peer"] = self.client_address[1]
            answer = json.dumps(seen).encode() + b"\n"
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_PUT = do_GET

ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"#;
    }
}

/// An inlet to the usual outlet that adds headers.
fn add_inlet(portal: &Portal, name: &str, headers: &[&str]) -> SocketAddr {
    let route = portal.outlet_route("outlet");
    let mut arguments = vec![
        "tcp-inlet",
        "create",
        name,
        "--at",
        "client",
        "--to",
        &route,
    ];
    for header in headers {
        arguments.extend(["--http-header", header]);
    }
    let bound = portal.client.run(&arguments).success();
    bound.trim().parse().unwrap()
}

const LONG: Duration = Duration::from_secs(60);
