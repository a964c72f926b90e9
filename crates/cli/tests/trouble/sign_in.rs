//! Signing in with a real OpenID Connect provider: the tenant of a project, and the provider of an Orchestrator.

mod needs_node {
    use std::fs::File;
    use std::path::{Path, PathBuf};
    use std::process::{Child, Stdio};
    use std::time::Duration;

    use serde_json::{Value, json};

    use crate::home::{Done, Home, program};
    use crate::process::wait_until;
    use crate::provider::{self, Person, Provider};
    use crate::trial::Trial;

    /// A command that waits until somebody has signed in.
    struct SigningIn {
        child: Child,
        out: PathBuf,
        err: PathBuf,
    }

    impl SigningIn {
        fn start(trial: &Trial, home: &Home, arguments: &[&str]) -> Self {
            let file = |kind: &str| {
                let name = home
                    .path()
                    .file_name()
                    .unwrap()
                    .to_string_lossy()
                    .into_owned();
                trial.directory().join(format!("{name}.{kind}"))
            };
            let (out, err) = (file("out"), file("err"));
            let child = home
                .command(&program())
                .args(arguments)
                .stdin(Stdio::null())
                .stdout(File::create(&out).unwrap())
                .stderr(File::create(&err).unwrap())
                .spawn()
                .unwrap();
            Self { child, out, err }
        }

        /// The address that a person has to open, with the code in it.
        fn address(&mut self) -> String {
            let mut found = None;
            let (child, err) = (&mut self.child, &self.err);
            wait_until("a code is shown", Duration::from_secs(60), || {
                let text = std::fs::read_to_string(err).unwrap();
                let word = |before: &str| {
                    let (_, rest) = text.split_once(before)?;
                    rest.split_whitespace().next().map(str::to_owned)
                };
                if let (Some(code), Some(url)) = (word("Your code is "), word("Enter it at ")) {
                    found = Some(format!("{url}?user_code={code}"));
                }
                if let Some(url) = word("address on this machine:") {
                    found = Some(url);
                }
                assert!(
                    found.is_some() || child.try_wait().unwrap().is_none(),
                    "{text}"
                );
                found.is_some()
            });
            found.unwrap()
        }

        fn end(mut self) -> Done {
            let status = self.child.wait().unwrap();
            Done {
                command: "signing in".to_owned(),
                code: status.code(),
                out: std::fs::read_to_string(self.out).unwrap(),
                err: std::fs::read_to_string(self.err).unwrap(),
            }
        }
    }

    /// A tenant with a certificate of its own.
    struct Tenant {
        provider: Provider,
        pem: String,
        file: PathBuf,
    }

    impl Tenant {
        fn start(directory: &Path, more: Value) -> Self {
            let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
            let (key, cert) = (directory.join("tenant.key"), directory.join("tenant.pem"));
            std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
            std::fs::write(&cert, made.cert.pem()).unwrap();
            let mut options = json!({"tenant": true, "key": key, "cert": cert});
            for (name, value) in more.as_object().unwrap() {
                options[name] = value.clone();
            }
            Self {
                provider: Provider::with(options),
                pem: made.cert.pem(),
                file: cert,
            }
        }
    }

    /// An authority whose members sign in, and the file of its project.
    fn authority(trial: &Trial, tenant: &Tenant) -> PathBuf {
        let home = trial.home("authority");
        home.run(&[
            "authority",
            "create",
            "--project-identifier",
            "p",
            "--tcp-listener-address",
            "127.0.0.1:0",
            "--tenant-base-url",
            &tenant.provider.issuer(),
            "--certificate",
            &tenant.file.display().to_string(),
            "--attributes",
            "email",
        ])
        .success();
        let mut project = home.json("authority show");
        project["okta_config"] = json!({
            "tenant_base_url": tenant.provider.issuer(),
            "certificate": tenant.pem,
            "client_id": "plain",
            "attributes": ["email"],
        });
        let file = trial.directory().join("project.json");
        std::fs::write(&file, project.to_string()).unwrap();
        file
    }

    #[test]
    fn a_member_comes_by_signing_in_with_the_service_of_the_project_and_a_refusal_makes_none() {
        let trial = Trial::beside_others();
        let tenant = Tenant::start(trial.directory(), json!({}));
        let project = authority(&trial, &tenant);
        let dana = trial.home("dana");
        dana.ok(&format!(
            "project import --project-file {}",
            project.display()
        ));
        let mut command = SigningIn::start(
            &trial,
            &dana,
            &["project", "enroll", "--okta", "--output", "json"],
        );
        provider::answer(&command.address(), "dana", Person::Allows);
        let enrolled: Value = serde_json::from_str(&command.end().success()).unwrap();
        assert_eq!(
            enrolled["credential"]["attributes"]["email"],
            "dana@example.com"
        );
        // No token is in any log.
        let paul = trial.home("paul");
        paul.ok(&format!(
            "project import --project-file {}",
            project.display()
        ));
        let mut command = SigningIn::start(&trial, &paul, &["project", "enroll", "--okta"]);
        provider::answer(&command.address(), "paul", Person::Refuses);
        let said = command.end().failure();
        assert!(
            said.contains("signing in was refused at localhost"),
            "{said}"
        );
        assert!(
            !paul
                .ockam("project enroll --okta --project nowhere")
                .failure()
                .is_empty()
        );
    }

    #[test]
    fn a_code_that_nobody_enters_ends_and_a_tenant_with_another_certificate_is_not_asked() {
        let trial = Trial::beside_others();
        let tenant = Tenant::start(trial.directory(), json!({"deviceCodeTtl": 3}));
        let project = authority(&trial, &tenant);
        let home = trial.home("late");
        home.ok(&format!(
            "project import --project-file {}",
            project.display()
        ));
        let said = home.ockam("project enroll --okta").failure();
        assert!(
            said.contains("nobody signed in before the time was over"),
            "{said}"
        );
        // The same name and address, and another certificate than the one that the project trusts.
        let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let mut changed: Value =
            serde_json::from_str(&std::fs::read_to_string(&project).unwrap()).unwrap();
        changed["okta_config"]["certificate"] = json!(other.cert.pem());
        std::fs::write(&project, changed.to_string()).unwrap();
        let wary = trial.home("wary");
        wary.ok(&format!(
            "project import --project-file {}",
            project.display()
        ));
        let said = wary.ockam("project enroll --okta").failure();
        assert!(said.contains("cannot be asked"), "{said}");
    }

    /// An Orchestrator whose people sign in, and the string that tells where it is.
    struct Orchestrator {
        home: Home,
        join: String,
    }

    impl Orchestrator {
        fn start(trial: &Trial, provider: &Provider, admit: &str) -> Self {
            let home = trial.home("orchestrator");
            let join = home.ok(&format!(
                "orchestrator start --listen 127.0.0.1:0 {} --oidc-admit {admit}",
                options(provider, provider::AUDIENCE)
            ));
            Self { home, join }
        }

        fn emails(&self) -> String {
            self.home
                .ok("orchestrator accounts --jq .[].email")
                .replace('"', "")
        }
    }

    fn options(provider: &Provider, audience: &str) -> String {
        format!(
            "--oidc-issuer {} --oidc-client-id ours --oidc-audience {audience} --oidc-claim groups",
            provider.issuer()
        )
    }

    #[test]
    fn people_enroll_by_signing_in_with_a_code_and_with_a_browser_of_their_machine() {
        let trial = Trial::beside_others();
        let provider = Provider::start();
        let there = Orchestrator::start(&trial, &provider, "example.com");
        there.home.ockam("enroll").success();
        for (name, flow) in [("dana", None), ("paul", Some("--authorization-code-flow"))] {
            let home = trial.home(name);
            let mut arguments = vec!["enroll", &there.join];
            arguments.extend(flow);
            let mut command = SigningIn::start(&trial, &home, &arguments);
            provider::answer(&command.address(), name, Person::Allows);
            let said = command.end().success();
            assert!(said.contains(&format!("as {name}@example.com")), "{said}");
            // Once more nobody is asked.
            let again = home.ok("enroll --jq .email");
            assert_eq!(again, format!("\"{name}@example.com\""));
        }
        assert_eq!(
            there.emails(),
            "administrator@localhost\ndana@example.com\npaul@example.com"
        );
        // The provider replaces its key: who comes later signs in all the same.
        provider.rotate();
        let late = trial.home("late");
        let mut command = SigningIn::start(&trial, &late, &["enroll", &there.join]);
        provider::answer(&command.address(), "dana", Person::Allows);
        let said = command.end().success();
        assert!(said.contains("as dana@example.com"), "{said}");
        // The same person on another machine is the same account.
        let accounts = there.emails();
        assert_eq!(accounts.lines().count(), 3, "{accounts}");
        let logs = there.home.logs();
        assert!(!logs.contains("eyJ"), "a token is in the log");
    }

    #[test]
    fn who_refuses_or_is_late_or_is_not_admitted_is_not_enrolled_and_may_try_again() {
        let trial = Trial::beside_others();
        let provider = Provider::with(json!({"deviceCodeTtl": 5}));
        let there = Orchestrator::start(&trial, &provider, "nobody");
        there.home.ockam("enroll").success();
        let home = trial.home("dana");
        for flow in ["", "--authorization-code-flow"] {
            let arguments: Vec<&str> = ["enroll", &there.join, flow]
                .into_iter()
                .filter(|word| !word.is_empty())
                .collect();
            let mut command = SigningIn::start(&trial, &home, &arguments);
            provider::answer(&command.address(), "dana", Person::Refuses);
            let said = command.end().failure();
            assert!(
                said.contains("signing in was refused at localhost"),
                "{said}"
            );
            assert!(said.contains("help: "), "{said}");
        }
        let late = SigningIn::start(&trial, &home, &["enroll", &there.join]);
        let said = late.end().failure();
        assert!(
            said.contains("nobody signed in before the time was over"),
            "{said}"
        );
        // Known to the provider, and to nobody here: an administrator invites.
        let mut command = SigningIn::start(&trial, &home, &["enroll", &there.join]);
        provider::answer(&command.address(), "dana", Person::Allows);
        let said = command.end().failure();
        assert!(
            said.contains("the Orchestrator does not let you in"),
            "{said}"
        );
        assert!(said.contains("ockam orchestrator invite"), "{said}");
        assert_eq!(there.emails(), "administrator@localhost");
        let invited = there.home.ok("orchestrator invite dana@example.com");
        let enrolled = home.run(&["enroll", invited.trim(), "--jq", ".email"]);
        assert_eq!(enrolled.success().trim(), "\"dana@example.com\"");
    }

    #[test]
    fn a_token_for_somebody_else_and_a_provider_that_is_down_enroll_nobody() {
        let trial = Trial::beside_others();
        let mut provider = Provider::start();
        let there = Orchestrator::start(&trial, &provider, "anyone");
        there.home.ockam("enroll").success();
        let home = trial.home("dana");
        // While somebody signs in, the Orchestrator becomes one whose tokens are for another audience.
        let mut command = SigningIn::start(&trial, &home, &["enroll", &there.join]);
        let address = command.address();
        there.home.ok("orchestrator stop");
        let other = options(&provider, "https://elsewhere.example");
        there
            .home
            .ok(&format!("orchestrator start {other} --oidc-admit anyone"));
        provider::answer(&address, "dana", Person::Allows);
        let said = command.end().failure();
        assert!(
            said.contains("the Orchestrator does not let you in"),
            "{said}"
        );
        assert_eq!(there.emails(), "administrator@localhost");
        for mode in ["broken", "rubbish"] {
            provider.mode(mode);
            let said = home.run(&["enroll", &there.join]).failure();
            assert!(said.contains("localhost"), "{mode}: {said}");
            assert!(said.contains("help: "), "{mode}: {said}");
        }
        provider.kill();
        let said = home.run(&["enroll", &there.join]).failure();
        assert!(said.contains("cannot be asked"), "{said}");
        assert_eq!(there.emails(), "administrator@localhost");
        // Who is enrolled is not held up by it.
        there.home.ok("project ticket");
    }
}
