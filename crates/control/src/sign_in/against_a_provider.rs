//! Both flows against a certified provider, with people who allow, refuse and do nothing, and a provider in trouble.

#[path = "../../../../tests/oidc/provider.rs"]
mod provider;

mod needs_node {
    use std::cell::{Cell, RefCell};
    use std::path::PathBuf;
    use std::time::Duration;

    use serde_json::json;

    use super::provider::{self, AUDIENCE, Person, Provider};
    use crate::command::{ChildOutput, Host, LocalFuture, Note, Session, Stdin};
    use crate::controller::message::SignInInfo;
    use crate::noun::status::ProgramVersion;
    use crate::outcome::{Failure, Outcome};
    use crate::sign_in::{SignInPlace, browser, device};

    /// A terminal at which somebody does what is shown there.
    struct Terminal {
        notes: RefCell<Vec<String>>,
        /// What they do when there is something to open; nothing if they do not look.
        person: Option<(&'static str, Person)>,
        opened: Cell<bool>,
    }

    impl Terminal {
        fn with(person: Option<(&'static str, Person)>) -> Self {
            Self {
                notes: RefCell::default(),
                person,
                opened: Cell::new(false),
            }
        }

        fn said(&self) -> String {
            self.notes.borrow().join("\n")
        }
    }

    impl Host for Terminal {
        fn home(&self) -> PathBuf {
            PathBuf::from("/nonexistent")
        }
        fn variable(&self, _: &str) -> Option<String> {
            None
        }
        fn version(&self) -> ProgramVersion {
            ProgramVersion {
                version: String::new(),
                hash: String::new(),
            }
        }
        fn note(&self, note: Note) {
            let (Note::Done(text) | Note::Info(text) | Note::Warning(text) | Note::Line(text)) =
                note;
            self.notes.borrow_mut().push(text);
        }
        fn waiting(&self, _: &str) {}
        fn browse(&self, url: &str) -> bool {
            let Some((name, person)) = self.person else {
                return false;
            };
            self.opened.set(true);
            let url = url.to_owned();
            // The browser is a process of its own: the program waits for what it brings.
            std::thread::spawn(move || provider::answer(&url, name, person));
            true
        }
        fn print(&self, _: Outcome) {}
        fn write(&self, _: &[u8]) -> std::io::Result<()> {
            Ok(())
        }
        fn can_prompt(&self) -> bool {
            false
        }
        fn confirm(&self, _: &str) -> Result<bool, Failure> {
            Ok(false)
        }
        fn choose(&self, _: &str, _: &[String]) -> Result<Vec<usize>, Failure> {
            Ok(Vec::new())
        }
        fn spawn_node<'a>(
            &'a self,
            _: &'a [String],
            _: ChildOutput,
        ) -> LocalFuture<'a, Result<(), Failure>> {
            Box::pin(async { Ok(()) })
        }
        fn ready<'a>(&'a self, _: u16) -> LocalFuture<'a, Result<(), Failure>> {
            Box::pin(async { Ok(()) })
        }
        fn end_of_process<'a>(&'a self, _: Stdin) -> LocalFuture<'a, ()> {
            Box::pin(async {})
        }
    }

    fn told(provider: &Provider, client: &str) -> SignInInfo {
        SignInInfo {
            issuer: Some(provider.issuer()),
            client_id: Some(client.to_owned()),
            audience: Some(AUDIENCE.to_owned()),
            scopes: None,
        }
    }

    /// Signs in by a code. Gives the token, or what is said.
    async fn by_code(terminal: &Terminal, told: SignInInfo) -> Result<String, String> {
        let session = Session::new(terminal);
        let place = SignInPlace::find(&session, told)
            .await
            .map_err(|failure| failure.to_string())?;
        let token = device(&session, &place)
            .await
            .map_err(|failure| failure.to_string())?;
        Ok(token.expose().to_owned())
    }

    async fn by_browser(terminal: &Terminal, told: SignInInfo) -> Result<String, String> {
        let session = Session::new(terminal);
        let place = SignInPlace::find(&session, told)
            .await
            .map_err(|failure| failure.to_string())?;
        let token = browser(&session, &place)
            .await
            .map_err(|failure| failure.to_string())?;
        Ok(token.expose().to_owned())
    }

    #[tokio::test]
    async fn a_person_signs_in_by_a_code_also_when_the_provider_is_slowed_down() {
        let provider = Provider::start();
        provider.mode("slow_down");
        let terminal = Terminal::with(Some(("dana", Person::Allows)));
        let token = by_code(&terminal, told(&provider, "ours"))
            .await
            .expect("a token");
        assert_eq!(token.split('.').count(), 3);
        assert!(terminal.opened.get());
        assert!(
            terminal.said().contains("Your code is "),
            "{}",
            terminal.said()
        );
        // No token or device code is shown.
        assert!(!terminal.said().contains(&token));
    }

    #[tokio::test]
    async fn a_person_signs_in_with_a_browser() {
        let provider = Provider::start();
        let terminal = Terminal::with(Some(("dana", Person::Allows)));
        let token = by_browser(&terminal, told(&provider, "ours"))
            .await
            .expect("a token");
        assert_eq!(token.split('.').count(), 3);
        assert!(!terminal.said().contains(&token));
    }

    #[tokio::test]
    async fn a_refusal_is_told_in_both_flows() {
        let provider = Provider::start();
        let terminal = Terminal::with(Some(("dana", Person::Refuses)));
        for result in [
            by_code(&terminal, told(&provider, "ours")).await,
            by_browser(&terminal, told(&provider, "ours")).await,
        ] {
            let said = result.expect_err("a refusal");
            assert!(
                said.contains("signing in was refused at localhost"),
                "{said}"
            );
        }
    }

    #[tokio::test]
    async fn a_code_that_nobody_enters_expires() {
        let provider = Provider::with(json!({"deviceCodeTtl": 3}));
        let said = by_code(&Terminal::with(None), told(&provider, "ours")).await;
        let said = said.expect_err("nobody is there");
        assert!(
            said.contains("nobody signed in before the time was over"),
            "{said}"
        );
    }

    #[tokio::test]
    async fn a_client_without_this_flow_or_a_wrong_issuer_is_told() {
        let provider = Provider::start();
        let terminal = Terminal::with(None);
        let said = by_code(&terminal, told(&provider, "codes"))
            .await
            .expect_err("no such flow");
        assert!(said.contains("does not"), "{said}");
        let mut elsewhere = told(&provider, "ours");
        elsewhere.issuer = Some(format!("http://127.0.0.1:{}", provider.port()));
        let said = by_code(&terminal, elsewhere)
            .await
            .expect_err("another issuer");
        assert!(said.contains("cannot be used"), "{said}");
        let said = by_code(
            &terminal,
            SignInInfo {
                issuer: None,
                client_id: None,
                audience: None,
                scopes: None,
            },
        )
        .await
        .expect_err("no provider");
        assert!(said.contains("no sign-in provider"), "{said}");
    }

    #[tokio::test]
    async fn a_provider_in_trouble_is_told_and_one_that_comes_back_goes_on() {
        let mut provider = Provider::start();
        let terminal = Terminal::with(None);
        for mode in ["broken", "rubbish", "huge"] {
            provider.mode(mode);
            let said = by_code(&terminal, told(&provider, "ours"))
                .await
                .expect_err(mode);
            assert!(said.contains("cannot be asked"), "{mode}: {said}");
        }
        provider.mode("ok");
        // Down in the middle of it, and back before patience ends.
        let session = Session::new(&terminal);
        let place = SignInPlace::find(&session, told(&provider, "ours"))
            .await
            .expect("a provider");
        let waiting = device(&session, &place);
        let trouble = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            provider.mode("broken");
            tokio::time::sleep(Duration::from_secs(2)).await;
            provider.mode("ok");
            let said = terminal.said();
            let code = said
                .split("Your code is ")
                .nth(1)
                .and_then(|rest| rest.split_whitespace().next());
            let code = code.expect("a code").to_owned();
            let url = format!("{}/device?user_code={code}", provider.issuer());
            tokio::task::spawn_blocking(move || provider::answer(&url, "dana", Person::Allows))
                .await
                .expect("a person");
        };
        let (token, ()) = tokio::join!(waiting, trouble);
        assert!(token.is_ok(), "{token:?}");
        provider.kill();
        let said = by_code(&terminal, told(&provider, "ours"))
            .await
            .expect_err("it is down");
        assert!(said.contains("cannot be asked"), "{said}");
    }
}
