//! Configurations under traffic: what is not touched goes on, whatever else changes.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use rustls::version::TLS13;

use crate::authority::{Authority, Validity, end};
use crate::home::Home;
use crate::process::wait_until;
use crate::traffic::{Target, assert_echo, connect};
use crate::trial::Trial;

#[test]
fn a_reload_leaves_the_connections_of_what_is_unchanged_open() {
    let trial = Trial::beside_others();
    let home = trial.home("home");
    let (kept, first, second) = (Target::echo(), Target::echo(), Target::echo());
    let file = trial.directory().join("node.yaml");
    write(&file, kept.address(), first.address(), "");
    home.ok(&format!("node create {}", file.display()));
    home.ok("tcp-outlet create byhand --at n1 --to 9");
    assert_echo(inlet(&home, "changing"));

    let mut open = connect(inlet(&home, "kept"), PATIENCE).unwrap();
    let mut echo = |text: &[u8]| {
        open.write_all(text).unwrap();
        let mut back = vec![0; text.len()];
        open.read_exact(&mut back).unwrap();
        assert_eq!(back, text);
    };
    echo(b"before");

    let more = format!("  more: {{to: '{}'}}\n", kept.address());
    for round in 0..5 {
        let (target, more) = if round % 2 == 0 {
            (second.address(), more.as_str())
        } else {
            (first.address(), "")
        };
        write(&file, kept.address(), target, more);
        let report = home.json("node reload n1");
        assert_eq!(report["unchanged"], 3, "{report}");
        assert_eq!(names(&report["replaced"]), ["changing"], "{report}");
        let (added, removed) = (names(&report["added"]), names(&report["removed"]));
        if more.is_empty() {
            assert_eq!(
                (added.len(), removed),
                (0, vec!["more".to_owned()]),
                "{report}"
            );
        } else {
            assert_eq!(
                (added, removed.len()),
                (vec!["more".to_owned()], 0),
                "{report}"
            );
        }
        echo(format!("after {round}").as_bytes());
        assert_echo(inlet(&home, "changing"));
    }
    let outlets = home.json("tcp-outlet list --at n1");
    assert!(outlets.to_string().contains("/service/byhand"), "{outlets}");
    // The last one was added: it takes connections too, and the open one is the same still.
    echo(b"at the end");
}

#[test]
fn what_comes_takes_the_port_of_what_goes() {
    let trial = Trial::beside_others();
    let home = trial.home("home");
    let target = Target::echo();
    let text = |inlet: &str, from: &str| {
        format!(
            "{{name: n1, tcp-outlets: {{o: {{to: '{}'}}}}, tcp-inlets: {{{inlet}: {{from: '{from}', to: /node/n1/service/o}}}}}}",
            target.address()
        )
    };
    home.run(&["node", "create", &text("a", "127.0.0.1:0")])
        .success();
    let bound = inlet(&home, "a");
    home.run(&["node", "reload", &text("b", &bound.to_string())])
        .success();
    assert_eq!(inlet(&home, "b"), bound);
    assert_echo(bound);
}

#[test]
fn a_configuration_that_fails_leaves_no_node_behind() {
    let trial = Trial::beside_others();
    let home = trial.home("home");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let text = format!(
        "{{name: n1, tcp-inlets: {{a: {{from: '{}', to: /node/n1/service/o}}}}}}",
        taken.local_addr().unwrap()
    );
    for foreground in [&["--foreground"][..], &[]] {
        let arguments = [&["node", "create", text.as_str()], foreground].concat();
        let report = home.run(&arguments).failure();
        assert!(
            report.contains("Another process is already listening"),
            "{report}"
        );
        assert!(report.contains("line 1, column"), "{report}");
        assert_eq!(home.json("node list"), serde_json::json!([]));
    }
    // A node that was there is stopped again, and keeps what it had.
    home.ok("node create n1");
    home.ok("tcp-outlet create byhand --at n1 --to 9");
    home.ok("node stop n1");
    home.run(&["node", "create", &text]).failure();
    assert_eq!(home.json("node list")[0]["status"]["status"], "stopped");
    home.ok("node start n1");
    wait_until("the outlet is back", PATIENCE, || {
        home.json("tcp-outlet list --at n1")
            .to_string()
            .contains("byhand")
    });
}

#[test]
fn every_example_carries_traffic_and_changes_nothing_the_second_time() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let mut found: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    found.sort();
    let examples = [
        ("node.json", "node create", "portal"),
        ("portal.yaml", "node create", "portal"),
        ("two-nodes.yaml", "run", "client"),
    ];
    assert_eq!(found, examples.map(|(file, ..)| file));
    for (file, command, node) in examples {
        let trial = Trial::beside_others();
        let home = trial.home("home");
        let target = Target::echo();
        let file = folder.join(file);
        let line = format!(
            "{command} {} --variable SERVER={} --variable PORT=0",
            file.display(),
            target.address()
        );
        home.ok(&line);
        let inlets = home.json(&format!("tcp-inlet list --at {node}"));
        let bound: SocketAddr = inlets[0]["bind_addr"].as_str().unwrap().parse().unwrap();
        assert_echo(bound);
        let mut open = connect(bound, PATIENCE).unwrap();
        open.write_all(b"a").unwrap();
        home.ok(&line);
        let mut back = [0; 1];
        open.read_exact(&mut back).unwrap();
        assert_eq!(home.json(&format!("tcp-inlet list --at {node}")), inlets);
    }
}

#[test]
fn a_configuration_comes_from_the_web() {
    let trial = Trial::beside_others();
    let home = trial.home("home");
    let server = Target::start(|mut stream| {
        let mut request = [0; 1024];
        let length = stream.read(&mut request)?;
        let request = String::from_utf8_lossy(&request[..length]).into_owned();
        let answer = match request.split_whitespace().nth(1).unwrap_or_default() {
            "/moved" => {
                "HTTP/1.1 302 Found\r\nlocation: /node.yaml\r\ncontent-length: 0\r\n\r\n".to_owned()
            }
            "/around" => {
                "HTTP/1.1 302 Found\r\nlocation: /around\r\ncontent-length: 0\r\n\r\n".to_owned()
            }
            "/large" => format!(
                "HTTP/1.1 200 OK\r\ncontent-length: 4000000\r\n\r\n{}",
                "#".repeat(4_000_000)
            ),
            "/node.yaml" => {
                let text = "name: n1\ntcp-outlets:\n  web: {to: 9}\n";
                format!(
                    "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{text}",
                    text.len()
                )
            }
            _ => "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_owned(),
        };
        stream.write_all(answer.as_bytes())
    });
    let address = server.address();
    let said = home.ok(&format!("node create http://{address}/moved"));
    assert!(said.starts_with("n1/service/web"), "{said}");
    assert_eq!(home.json("node reload n1")["unchanged"], 1);
    // Without its scheme, too.
    home.ok(&format!("node create {address}/node.yaml"));
    for (path, why) in [
        ("nothing", "404 Not Found"),
        ("large", "larger than any configuration"),
        ("around", "redirect"),
    ] {
        let report = home
            .ockam(&format!("node create http://{address}/{path}"))
            .failure();
        assert!(report.contains(why), "{report}");
        assert!(
            report.contains(&format!("http://{address}/{path}")),
            "{report}"
        );
    }
}

#[test]
fn a_server_of_configurations_is_trusted_as_its_certificate_is() {
    let trial = Trial::beside_others();
    let home = trial.home("home");
    let authority = Authority::new();
    let root = trial.directory().join("authority.pem");
    std::fs::write(&root, authority.root.pem()).unwrap();
    let server = authority.serve("localhost", Validity::Now, &TLS13, |mut stream| {
        let mut request = [0; 1024];
        let _ = stream.read(&mut request)?;
        let text = "name: n1\ntcp-outlet: {to: 9}\n";
        write!(
            stream,
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{text}",
            text.len()
        )?;
        end(stream)
    });
    let create = format!("ockam node create https://localhost:{}/n1", server.port());
    let report = home.shell(&create).failure();
    assert!(
        report.contains("UnknownIssuer") || report.contains("no root certificates"),
        "{report}"
    );
    let said = home
        .shell(&format!("SSL_CERT_FILE={} {create}", root.display()))
        .success();
    assert!(said.starts_with("n1/service/outlet"), "{said}");

    // Many servers answer without encryption only to send everybody to where it is.
    let location = format!("https://localhost:{}/n1", server.port());
    let plain = Target::start(move |mut stream| {
        let mut request = [0; 1024];
        let _ = stream.read(&mut request)?;
        write!(
            stream,
            "HTTP/1.1 302 Found\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n"
        )
    });
    let create = format!("ockam node create http://{}/n1", plain.address());
    let report = home.shell(&create).failure();
    assert!(report.contains("UnknownIssuer"), "{report}");
    let said = home
        .shell(&format!("SSL_CERT_FILE={} {create}", root.display()))
        .success();
    assert!(said.starts_with("n1/service/outlet"), "{said}");
}

fn write(file: &Path, kept: SocketAddr, changing: SocketAddr, more: &str) {
    let text = format!(
        "name: n1\n\
         tcp-outlets:\n  kept: {{to: '{kept}'}}\n  changing: {{to: '{changing}'}}\n{more}\
         tcp-inlets:\n  kept: {{to: /node/n1/secure/api/service/kept}}\n  \
         changing: {{to: /node/n1/service/changing}}\n"
    );
    std::fs::write(file, text).unwrap();
}

fn inlet(home: &Home, name: &str) -> SocketAddr {
    let inlet = home.json(&format!("tcp-inlet show {name} --at n1"));
    inlet["bind_addr"].as_str().unwrap().parse().unwrap()
}

fn names(changes: &serde_json::Value) -> Vec<String> {
    let changes = changes.as_array().unwrap().iter();
    changes
        .map(|change| change["name"].as_str().unwrap().to_owned())
        .collect()
}

const PATIENCE: Duration = Duration::from_secs(60);
