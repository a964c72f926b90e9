//! The demo of the documents, in its older syntax, as people have it in their scripts.

/// Runs the demo as it is written; only the two ports are free ones.
mod needs_python3 {
    mod needs_curl {
        use std::process::Stdio;
        use std::time::Duration;

        use crate::process::wait_until;
        use crate::traffic::free_port;
        use crate::trial::Trial;

        #[test]
        fn the_demo_in_its_older_syntax_runs_as_written() {
            let trial = Trial::beside_others();
            let home = trial.home("home");
            let (web, inlet) = (free_port(), free_port());
            let mut server = home
                .command("python3".as_ref())
                .args(["-m", "http.server", "--bind", "127.0.0.1", &web.to_string()])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            wait_until("the web server listens", Duration::from_secs(60), || {
                std::net::TcpStream::connect(("127.0.0.1", web)).is_ok()
            });
            let script = OLDER
                .replace("5000", &web.to_string())
                .replace("7000", &inlet.to_string());
            let done = home.shell(&script);
            server.kill().unwrap();
            server.wait().unwrap();
            let out = done.success();
            let lines: Vec<&str> = out.lines().map(str::trim_end).collect();
            assert!(out.contains("HTTP/1.0 200 OK"), "{out}");
            assert!(
                lines
                    .iter()
                    .any(|line| line.starts_with("Server: SimpleHTTP/")),
                "{out}"
            );
            // What a script reads: names and addresses, nothing around them.
            assert!(out.starts_with("relay"), "{out}");
            assert!(out.contains("/service/forward_to_server_sidecar"), "{out}");
        }

        const OLDER: &str = "
            ockam node create relay
            ockam node create server_sidecar
            ockam tcp-outlet create --at /node/server_sidecar --from /service/outlet --to 127.0.0.1:5000
            ockam forwarder create server_sidecar --at /node/relay --to /node/server_sidecar
            ockam node create client_sidecar
            ockam secure-channel create --from /node/client_sidecar --to /node/relay/service/forward_to_server_sidecar/service/api \\
                | ockam tcp-inlet create --at /node/client_sidecar --from 127.0.0.1:7000 --to -/service/outlet
            curl --silent --show-error --head 127.0.0.1:7000
        ";
    }
}
