//! A certified OpenID Connect provider (`oidc-provider`, run by Node.js) and people who sign in with it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

/// A provider that ends with the test.
pub(crate) struct Provider {
    child: Child,
    port: u16,
    scheme: &'static str,
}

/// What a person does who is asked.
#[allow(dead_code, reason = "each test program uses some of this")]
#[derive(Debug, Clone, Copy)]
pub(crate) enum Person {
    Allows,
    Refuses,
}

/// The audience of tokens of the clients `ours` and `theirs`.
#[allow(dead_code, reason = "each test program uses some of this")]
pub(crate) const AUDIENCE: &str = "https://orchestrator.example";

#[allow(dead_code, reason = "each test program uses some of this")]
impl Provider {
    pub(crate) fn start() -> Self {
        Self::with(json!({}))
    }

    pub(crate) fn with(options: Value) -> Self {
        let scheme = if options.get("key").is_some() {
            "https"
        } else {
            "http"
        };
        let mut child = node("provider.mjs")
            .arg(options.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("node starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("its output"))
            .read_line(&mut line)
            .expect("its port");
        let port = line.trim().parse().expect("its port");
        Self {
            child,
            port,
            scheme,
        }
    }

    pub(crate) fn issuer(&self) -> String {
        format!("{}://localhost:{}", self.scheme, self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Ends it as a crash does.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Behaves like this from now on: `ok`, `broken`, `rubbish`, `huge`, `silent`, `slow_down`.
    pub(crate) fn mode(&self, mode: &str) {
        self.ask("GET", &format!("/test/mode?is={mode}"), "", "");
    }

    /// Signs with another key from now on.
    pub(crate) fn rotate(&self) {
        self.ask("GET", "/test/rotate", "", "");
    }

    /// How often a path was asked for.
    pub(crate) fn asked(&self, path: &str) -> u64 {
        let asked = self.ask("GET", "/test/asked", "", "");
        asked.get(path).and_then(Value::as_u64).unwrap_or(0)
    }

    /// A token that the provider signs, whatever it says.
    pub(crate) fn sign(&self, head: Value, claims: Value) -> String {
        let wanted = json!({"head": head, "claims": claims}).to_string();
        text(
            &self.ask("POST", "/test/sign", "application/json", &wanted),
            "token",
        )
    }

    /// The access token of somebody who signed in with a client, by the device flow.
    pub(crate) fn token(&self, client: &str, person: &str, resource: Option<&str>) -> String {
        let form = "application/x-www-form-urlencoded";
        let resource = resource
            .map(|resource| format!("&resource={resource}"))
            .unwrap_or_default();
        let begun = self.ask(
            "POST",
            "/device/auth",
            form,
            &format!("client_id={client}&scope=openid%20profile%20email{resource}"),
        );
        answer(
            &text(&begun, "verification_uri_complete"),
            person,
            Person::Allows,
        );
        let code = text(&begun, "device_code");
        let told = self.ask(
            "POST",
            "/token",
            form,
            &format!(
                "client_id={client}&grant_type=urn:ietf:params:oauth:grant-type:device_code&device_code={code}{resource}"
            ),
        );
        text(&told, "access_token")
    }

    /// A request to a provider without TLS.
    fn ask(&self, method: &str, path: &str, kind: &str, body: &str) -> Value {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("the provider");
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .expect("a limit");
        write!(
            stream,
            "{method} {path} HTTP/1.0\r\nHost: localhost:{}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}",
            self.port,
            body.len()
        )
        .expect("a request");
        let answer = std::io::read_to_string(stream).expect("an answer");
        let (_, body) = answer.split_once("\r\n\r\n").expect("an answer");
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{path}: {error}: {answer}"))
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Somebody opens an address in a browser, signs in under this name and answers. Gives the last page.
pub(crate) fn answer(address: &str, name: &str, person: Person) -> String {
    let word = match person {
        Person::Allows => "allow",
        Person::Refuses => "refuse",
    };
    let output = node("person.mjs")
        .args([address, name, word])
        .output()
        .expect("node starts");
    assert!(
        output.status.success(),
        "{address}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn node(script: &str) -> Command {
    let place = installed();
    let mut command = Command::new("node");
    command.current_dir(&place).arg(script);
    command
}

/// Where the provider is, with what it needs; `./check` has installed it, or else it is installed now.
fn installed() -> PathBuf {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/oidc");
    let lock = std::fs::File::open(place.join("package-lock.json")).expect("the lock file");
    lock.lock().expect("one installs at a time");
    if !place.join("node_modules/oidc-provider").is_dir() {
        let done = Command::new("npm")
            .args(["ci", "--no-audit", "--no-fund"])
            .current_dir(&place)
            .output()
            .expect("npm starts");
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
    }
    place
}

fn text(value: &Value, name: &str) -> String {
    value
        .get(name)
        .and_then(Value::as_str)
        .unwrap_or_else(|| panic!("no {name} in {value}"))
        .to_owned()
}
