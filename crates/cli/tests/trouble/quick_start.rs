//! The quick start as it is written, a machine that lost its power, and two machines with one Orchestrator.

mod needs_python3 {
    mod needs_curl {
        use std::process::{Child, Stdio};
        use std::time::Duration;

        use crate::home::Home;
        use crate::process::wait_until;
        use crate::traffic::free_port;
        use crate::trial::Trial;

        #[test]
        fn the_quick_start_runs_as_written_and_comes_back_after_a_power_cut() {
            let trial = Trial::beside_others();
            let home = trial.home("home");
            let web = Web::start(&home);
            let inlet = free_port();
            let script = QUICK_START
                .replace("6000", &web.port.to_string())
                .replace("7000", &inlet.to_string());
            let out = home.shell(&script).success();
            assert!(out.contains("HTTP/1.0 200 OK"), "{out}");
            // Once more: nothing is made twice, nothing fails.
            let again = home.ockam("enroll").success();
            assert!(
                again.contains("is enrolled with the Orchestrator"),
                "{again}"
            );
            assert_eq!(home.ok("project list --jq length"), "1");
            assert_eq!(home.ok("enroll --force --jq .role"), "\"admin\"");
            assert_eq!(home.ok("orchestrator status --jq .accounts"), "1");

            for process in home.ok("node list --jq .[].pid").split_whitespace() {
                home.shell(&format!("kill -9 {process}")).success();
            }
            wait_until("everything is gone", Duration::from_secs(60), || {
                home.ok("node list --jq [.[]|select(.status.status==\"running\")]|length") == "0"
            });
            // Whatever is tried, the error names what brings everything back.
            let said = home.ockam("tcp-inlet create --from 0").failure();
            assert!(said.contains("ockam node start --all"), "{said}");
            home.ockam("node start --all").success();
            wait_until("the portal works", Duration::from_secs(60), || {
                page(&home, inlet).contains("HTTP/1.0 200 OK")
            });
        }

        #[test]
        fn two_enrollments_at_once_end_well_and_as_one() {
            let trial = Trial::beside_others();
            let home = trial.home("home");
            let both = home
                .shell("ockam enroll & ockam enroll & wait %1 && wait %2")
                .success();
            assert_eq!(
                both.matches("is enrolled with the Orchestrator").count(),
                2,
                "{both}"
            );
            assert_eq!(home.ok("orchestrator status --jq .projects"), "1");
            assert_eq!(home.ok("orchestrator status --jq .accounts"), "1");
        }

        #[test]
        fn two_machines_with_one_orchestrator_meet_in_a_project() {
            let trial = Trial::beside_others();
            let (first, second) = (trial.home("first"), trial.home("second"));
            let web = Web::start(&first);
            first.ockam("enroll").success();
            first
                .ockam(&format!("tcp-outlet create --to {}", web.port))
                .success();
            first
                .ockam(&format!("tcp-outlet create postgres --to {}", web.port))
                .success();
            first.ockam("relay create postgres").success();
            first.ockam("relay create").success();
            let join = first.ok("orchestrator invite --project default");
            let join = join.trim();
            second.ockam(&format!("enroll {join}")).success();
            assert_eq!(second.ok("enroll --jq .role"), "\"member\"");
            let (via, to) = (free_port(), free_port());
            second
                .ockam(&format!("tcp-inlet create --from {via} --via postgres"))
                .success();
            second
                .ockam(&format!("tcp-inlet create --from {to} --to postgres"))
                .success();
            for inlet in [via, to] {
                let page = page(&second, inlet);
                assert!(page.contains("HTTP/1.0 200 OK"), "{page}");
            }
            // The code was for one machine; who is somebody else is told what to do.
            let third = trial.home("third");
            let said = third.ockam(&format!("enroll {join}")).failure();
            assert!(said.contains("does not take this one-time code"), "{said}");
            assert!(!said.contains(join.rsplit(',').next().unwrap()), "{said}");
            let (place, _) = join.rsplit_once(',').unwrap();
            let (route, _) = place.split_once(',').unwrap();
            let said = third
                .ockam(&format!("enroll {route},I{}", "0".repeat(64)))
                .failure();
            assert!(
                said.contains("somebody else than the expected Orchestrator"),
                "{said}"
            );
            assert_eq!(third.ok("project list"), "[]");
        }

        #[test]
        fn a_name_is_an_outlet_behind_the_default_relay_or_else_a_relay() {
            let trial = Trial::beside_others();
            let (first, second) = (trial.home("first"), trial.home("second"));
            let web = Web::start(&first);
            let to = web.port;
            first.ockam("enroll").success();
            let said = first
                .ockam("orchestrator invite --project defalut")
                .failure();
            assert!(said.contains("did you mean `default`?"), "{said}");
            let join = first.ok("orchestrator invite --project default --role admin");
            let file = second.path().with_extension("join");
            std::fs::write(&file, join).unwrap();
            second
                .ockam(&format!("enroll {}", file.display()))
                .success();
            assert_eq!(second.ok("enroll --jq .role"), "\"admin\"");

            // Until it is there the node says where it was looked for.
            second
                .ockam("tcp-inlet create early --to postgres --no-connection-wait")
                .success();
            wait_until("an attempt has failed", Duration::from_secs(60), || {
                second
                    .ok("tcp-inlet show early --jq .last_failure")
                    .contains("/forward_to_postgres/secure/api/service/outlet")
            });
            // As the articles have it: nothing is called default.
            first
                .ockam(&format!("tcp-outlet create --to {to}"))
                .success();
            first.ockam("relay create postgres").success();
            let behind_relay = "/forward_to_postgres/secure/api/service/outlet";
            inlet_goes(&second, "named", behind_relay);
            // A default relay that leads to another outlet changes nothing.
            first.ockam("relay create").success();
            inlet_goes(&second, "beside", behind_relay);
            // With an outlet of that name behind it the published meaning holds.
            first
                .ockam(&format!("tcp-outlet create postgres --to {to}"))
                .success();
            let behind_default = "/forward_to_default/secure/api/service/postgres";
            inlet_goes(&second, "published", behind_default);
        }

        fn inlet_goes(home: &Home, name: &str, place: &str) {
            let port = free_port();
            home.ockam(&format!(
                "tcp-inlet create {name} --from {port} --to postgres"
            ))
            .success();
            let page = page(home, port);
            assert!(page.contains("HTTP/1.0 200 OK"), "{page}");
            let shown = home.ok(&format!("tcp-inlet show {name} --jq .outlet_addr"));
            assert!(shown.trim_matches('"').ends_with(place), "{shown}");
        }

        fn page(home: &Home, port: u16) -> String {
            let curl =
                format!("curl --silent --show-error --max-time 20 --head 127.0.0.1:{port} || true");
            home.shell(&curl).success()
        }

        /// A web server that ends with the test.
        struct Web {
            port: u16,
            server: Child,
        }

        impl Web {
            fn start(home: &Home) -> Self {
                let port = free_port();
                let server = home
                    .command("python3".as_ref())
                    .args([
                        "-m",
                        "http.server",
                        "--bind",
                        "127.0.0.1",
                        &port.to_string(),
                    ])
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .spawn()
                    .unwrap();
                let web = Self { port, server };
                wait_until("the web server listens", Duration::from_secs(60), || {
                    std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
                });
                web
            }
        }

        impl Drop for Web {
            fn drop(&mut self) {
                let _ = self.server.kill();
                let _ = self.server.wait();
            }
        }

        const QUICK_START: &str = "
            ockam enroll
            ockam tcp-outlet create --to 6000
            ockam relay create
            ockam tcp-inlet create --from 7000
            curl --silent --show-error --max-time 20 --head 127.0.0.1:7000
        ";
    }
}
