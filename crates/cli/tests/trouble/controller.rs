//! `project-admin` against a controller that is played: it answers as controllers do, and as they do not.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ockam_node::{Access, FixedIdentity, ListenerOptions, Node, NodeOptions};
use ockam_wire::envelope::{ErrorBody, MessageId, Method, Request, Response, Status};
use ockam_wire::{Address, Buffer, Route};

use crate::home::{Done, Home};
use crate::trial::Trial;

#[test]
fn admins_of_a_project_are_added_listed_and_deleted_at_its_controller() {
    let trial = Trial::beside_others();
    let controller = Controller::start();
    let caller = Caller::new(&trial, &controller);
    assert_eq!(caller.admin("list").success(), "[]");
    let added = caller
        .admin("add Alice@example.com --output json")
        .success();
    let compact: String = added.split_whitespace().collect();
    assert_eq!(compact, "{\"email\":\"Alice@example.com\"}");
    caller.admin("add bob@example.com p").success();
    caller.admin("add carol@example.com web").success();
    let listed = caller.admin("list p --jq .[].email").success();
    assert_eq!(
        listed.lines().collect::<Vec<_>>(),
        [
            "\"Alice@example.com\"",
            "\"bob@example.com\"",
            "\"carol@example.com\""
        ]
    );
    // Who asks is the identity that was named, without any credential.
    let who = caller.home.ok("identity show other");
    caller.admin("list --identity other").success();
    assert_eq!(controller.last_caller(), who);
    // Confirmed, found whatever its capital letters are, and told to the controller as it writes it itself.
    let said = caller.admin("delete bob@example.com").failure();
    assert!(said.contains("Use --yes to confirm"), "{said}");
    let said = caller.admin("delete dave@example.com --yes").failure();
    assert!(
        said.contains("The project admin dave@example.com was not found"),
        "{said}"
    );
    assert_eq!(caller.admin("delete --yes").success(), "");
    caller.admin("delete ALICE@EXAMPLE.COM --yes").success();
    assert_eq!(
        controller.admins("p"),
        ["bob@example.com", "carol@example.com"]
    );
    caller.admin("delete --all p --yes").success();
    assert!(controller.admins("p").is_empty());
    assert_eq!(caller.admin("delete --all --yes").success(), "[]");
    // Neither gets so far that somebody is asked.
    let before = controller.requests();
    let said = caller.admin("delete a/../../q --yes").failure();
    assert!(
        said.contains("invalid value 'a/../../q' for EMAIL"),
        "{said}"
    );
    let refused = caller.admin("add a/b@example.com");
    assert_ne!(refused.code, Some(0), "{refused:#?}");
    assert_eq!(controller.requests(), before);
}

#[test]
fn a_controller_that_refuses_or_babbles_or_is_somebody_else_is_told_apart() {
    let trial = Trial::beside_others();
    let controller = Controller::start();
    let caller = Caller::new(&trial, &controller);
    // Another project, a stranger, an error.
    caller.import("q", "other");
    let said = caller.admin("list other").failure();
    assert!(
        said.contains("the controller refused with 404: no such project"),
        "{said}"
    );
    assert!(
        said.contains("may not know the project other, whose id is q"),
        "{said}"
    );
    for (answer, expected) in [
        (
            Answer::Error(Status::Forbidden, "not \u{1b}[2Jyou"),
            "refused with 403: not [2Jyou",
        ),
        (
            Answer::Error(Status::InternalServerError, "broken"),
            "refused with 500: broken",
        ),
        (Answer::Body(Vec::new()), "answer is not understood"),
        (
            Answer::Body(b"garbage".to_vec()),
            "answer is not understood",
        ),
        // Lengths that nobody has room for.
        (
            Answer::Body(vec![0x9b, 255, 255, 255, 255, 255, 255, 255, 255]),
            "answer is not understood",
        ),
        (
            Answer::Body(admins(["a\u{1b}[2J@b"])),
            "answer is not understood",
        ),
        (
            Answer::Body(admins(["a@b"; 20]).repeat(2)),
            "answer is not understood",
        ),
    ] {
        controller.answer(answer.clone());
        let said = caller.admin("list").failure();
        assert!(said.contains(expected), "{answer:?}: {said}");
        assert!(!said.contains('\u{1b}'), "{said:?}");
    }
    // What was not done is not said to be done.
    controller.answer(Answer::Body(admins([])));
    let said = caller.admin("add alice@example.com").failure();
    assert!(said.contains("alice@example.com was not added"), "{said}");
    controller.answer(Answer::Body(admins(["alice@example.com"])));
    let said = caller.admin("delete alice@example.com --yes").failure();
    assert!(said.contains("alice@example.com was not removed"), "{said}");
    // Nothing comes.
    controller.answer(Answer::Silence);
    let said = caller.with("OCKAM_DEFAULT_TIMEOUT", "1s", "list").failure();
    assert!(said.contains("did not answer within 1s"), "{said}");
    assert!(said.contains("OCK503"), "{said}");
    // Somebody else is there: it is told nothing.
    let before = controller.requests();
    let expected = caller.home.ok("identity show other");
    let said = caller
        .with("OCKAM_CONTROLLER_IDENTITY_ID", &expected, "list")
        .failure();
    assert!(said.contains("somebody else than the controller"), "{said}");
    assert!(said.contains(&format!("{expected} was expected")), "{said}");
    assert_eq!(controller.requests(), before);
    // Nobody is there.
    let said = caller
        .with(
            "OCKAM_CONTROLLER_ADDR",
            "/ip4/127.0.0.1/tcp/1/service/api",
            "list",
        )
        .failure();
    assert!(said.contains("the controller is not reached"), "{said}");
}

/// A home with the project `web`, whose id is `p`, and the controller in its environment.
struct Caller {
    home: Home,
    address: String,
    identifier: String,
}

impl Caller {
    fn new(trial: &Trial, controller: &Controller) -> Self {
        let home = trial.home("caller");
        home.ok("identity create me");
        home.ok("identity create other");
        let caller = Self {
            home,
            address: controller.address.clone(),
            identifier: controller.identifier.clone(),
        };
        caller.import("p", "web");
        caller
    }

    fn import(&self, id: &str, name: &str) {
        self.home
            .shell(&format!(
                "echo '{{\"id\":\"{id}\",\"name\":\"{name}\"}}' | ockam project import --project-file -"
            ))
            .success();
    }

    fn admin(&self, arguments: &str) -> Done {
        self.with("OCKAM_CONTROLLER_ADDR", &self.address, arguments)
    }

    /// Runs `ockam project-admin` with one more variable, or another value of one.
    fn with(&self, variable: &str, value: &str, arguments: &str) -> Done {
        let mut done = self.home.shell(&format!(
            "export OCKAM_CONTROLLER_ADDR={} OCKAM_CONTROLLER_IDENTITY_ID={}; {variable}={value} ockam project-admin {arguments}",
            self.address, self.identifier
        ));
        done.out = done.out.trim().to_owned();
        done
    }
}

/// What the controller says instead of what it should.
#[derive(Debug, Clone)]
enum Answer {
    Body(Vec<u8>),
    Error(Status, &'static str),
    Silence,
}

#[derive(Default)]
struct Known {
    projects: BTreeMap<String, Vec<String>>,
    instead: Option<Answer>,
    requests: usize,
    last_caller: String,
}

/// A controller in this process: a listener of channels `api` and behind it the service `projects`.
struct Controller {
    address: String,
    identifier: String,
    known: Arc<Mutex<Known>>,
    _runtime: tokio::runtime::Runtime,
}

impl Controller {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let known = Arc::new(Mutex::new(Known {
            projects: BTreeMap::from([("p".to_owned(), Vec::new())]),
            ..Known::default()
        }));
        let (started, place) = std::sync::mpsc::channel();
        let serving = known.clone();
        runtime.spawn(async move {
            let node = Node::new(NodeOptions::default());
            let identity = Arc::new(node.ephemeral_identity().unwrap());
            let identifier = identity.history.identifier().to_string();
            let tcp = node.tcp_listen("127.0.0.1:0").await.unwrap();
            let api = Address::from_static("api");
            let options = ListenerOptions {
                identity: Arc::new(FixedIdentity(identity)),
                authorized: Vec::new(),
                timeout: Duration::from_secs(10),
            };
            let listener = node.start_channel_listener(&api, options).unwrap();
            node.router().add_consumer(&api, tcp.flow());
            let own = Address::from_static("projects");
            let mut mailbox = node
                .router()
                .start_mailbox(std::slice::from_ref(&own), Access::ALLOW_ALL)
                .unwrap();
            node.router().add_consumer(&own, listener.flow());
            let address = format!("/ip4/127.0.0.1/tcp/{}/service/api", tcp.address().port());
            started.send((address, identifier)).unwrap();
            loop {
                let mut message = mailbox.recv().await;
                let onward = std::mem::take(&mut message.return_route);
                let peer = message.origin.peer.as_ref().unwrap();
                let (request, _) = Request::decode(message.payload.as_slice()).unwrap();
                let answer = serving
                    .lock()
                    .unwrap()
                    .serve(peer.identifier.to_string(), &request);
                let answer = match answer {
                    Answer::Silence => continue,
                    Answer::Body(body) => {
                        Response::new(MessageId(7), request.id, Status::Ok).encode(Some(&body))
                    }
                    Answer::Error(status, said) => {
                        let body = ErrorBody::new(&request, said).encode();
                        Response::new(MessageId(7), request.id, status).encode(Some(&body))
                    }
                };
                let back = Route::from_hops([own.clone()]).unwrap();
                let answer = Buffer::from_slice(&answer);
                // Who has gone meanwhile gets nothing.
                drop(node.router().send(&own, onward, back, answer).await);
            }
        });
        let (address, identifier) = place.recv().unwrap();
        Self {
            address,
            identifier,
            known,
            _runtime: runtime,
        }
    }

    /// From now on it says this whatever it is asked.
    fn answer(&self, answer: Answer) {
        self.known.lock().unwrap().instead = Some(answer);
    }

    fn admins(&self, project: &str) -> Vec<String> {
        self.known.lock().unwrap().projects[project].clone()
    }

    fn requests(&self) -> usize {
        self.known.lock().unwrap().requests
    }

    fn last_caller(&self) -> String {
        self.known.lock().unwrap().last_caller.clone()
    }
}

impl Known {
    fn serve(&mut self, caller: String, request: &Request) -> Answer {
        self.requests += 1;
        self.last_caller = caller;
        if let Some(instead) = &self.instead {
            return instead.clone();
        }
        let segments: Vec<&str> = request.path.split('/').collect();
        let ["", "v0", project, "admins", email @ ..] = segments.as_slice() else {
            return Answer::Error(Status::BadRequest, "unknown path");
        };
        let Some(known) = self.projects.get_mut(*project) else {
            return Answer::Error(Status::NotFound, "no such project");
        };
        match (request.method, email) {
            (Some(Method::Get), []) => {}
            (Some(Method::Put), [email]) => known.push((*email).to_owned()),
            (Some(Method::Delete), [email]) => known.retain(|admin| admin != email),
            _ => return Answer::Error(Status::MethodNotAllowed, "unknown method"),
        }
        Answer::Body(admins(known.iter().map(String::as_str)))
    }
}

/// `[{1: email}]`, put together by hand.
fn admins<'a>(emails: impl IntoIterator<Item = &'a str>) -> Vec<u8> {
    let mut body = vec![0x9f];
    for email in emails {
        body.extend_from_slice(&[0xa1, 1, 0x78, u8::try_from(email.len()).unwrap()]);
        body.extend_from_slice(email.as_bytes());
    }
    body.push(0xff);
    body
}
