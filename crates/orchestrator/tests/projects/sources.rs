//! What strangers may try, by where they come from: over TCP from several addresses of this machine.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ockam_authority::client::RequestError;
use ockam_control::controller::ControllerPlace;
use ockam_control::controller::client::ControllerClient;
use ockam_control::hosted::{KeyLifetime, StoredIdentity, StoredIssuer};
use ockam_identity::OneTimeCode;
use ockam_node::ListenerOptions;
use ockam_orchestrator::controller::{Controller, ControllerOptions};
use ockam_wire::Address;
use tokio::task::JoinSet;

use crate::doorway::doorway;
use crate::world::{Person, code, orchestrator};

#[tokio::test]
async fn guard_o06_a_source_that_guesses_tickets_is_held_up_and_others_are_not() {
    let (_home, process) = orchestrator().await;
    let project = process.create().await;
    let admin = process.admin(&project).await;
    let good = admin.at(&project).create_token(&code(&[])).await.unwrap();
    let [busy, quiet] = [2, 3].map(|number| format!("127.0.0.{number}"));
    let busy = process.seen_from(&busy, &project).await;
    let quiet = process.seen_from(&quiet, &project).await;
    guess_until_held_up("Unknown enrollment token", |number| {
        let person = Person::new().at(&busy);
        async move { person.redeem(&guess(number)).await.map(drop) }
    })
    .await;
    Person::new().at(&quiet).redeem(&good).await.unwrap();
    // Whoever is a member is served, wherever they come from.
    admin.at(&busy).create_token(&code(&[])).await.unwrap();
}

#[tokio::test]
async fn guard_o06_a_source_that_guesses_codes_of_the_orchestrator_is_held_up_and_others_are_not() {
    let (_home, process) = orchestrator().await;
    let place = process.serve_controller().await;
    let good: OneTimeCode = place.code.parse().unwrap();
    let port = |address: std::net::SocketAddr| address.port();
    let busy = port(doorway("127.0.0.2", place.listener).await);
    let quiet = port(doorway("127.0.0.3", place.listener).await);
    guess_until_held_up("unknown one-time code", |number| {
        let asked = place.asked_by(&Person::new(), busy);
        async move { asked.enroll_with_code(&guess(number)).await }
    })
    .await;
    let known = Person::new();
    place
        .asked_by(&known, quiet)
        .enroll_with_code(&good)
        .await
        .unwrap();
    // Whoever is enrolled is served, wherever they come from.
    place.asked_by(&known, busy).me().await.unwrap();
    // A code that was used, and one that is made up: nobody can tell which is which.
    let said = async |code: &OneTimeCode| {
        let asked = place.asked_by(&Person::new(), quiet);
        asked.enroll_with_code(code).await.unwrap_err().to_string()
    };
    assert_eq!(said(&good).await, said(&guess(200)).await);
}

fn guess(number: u8) -> OneTimeCode {
    format!("{number:064x}").parse().unwrap()
}

/// Guesses, each as somebody else, until one is not looked at any more. Some come at the same time.
async fn guess_until_held_up<F>(unknown: &str, mut attempt: impl FnMut(u8) -> F)
where
    F: Future<Output = Result<(), RequestError>> + Send + 'static,
{
    let begun = Instant::now();
    let (mut looked_at, mut held_up) = (0, 0);
    for round in 0..20 {
        let mut guesses = JoinSet::new();
        for number in 0..AT_ONCE {
            guesses.spawn(attempt(round * AT_ONCE + number));
        }
        while let Some(guessed) = guesses.join_next().await {
            let refused = guessed.unwrap().unwrap_err().to_string();
            if refused.contains(unknown) {
                looked_at += 1;
            } else {
                assert!(refused.contains("too many"), "{refused}");
                held_up += 1;
            }
        }
        if held_up > 0 {
            break;
        }
    }
    assert!(held_up > 0, "{looked_at} guesses");
    // Twenty, what time brought, and those that were looked at when the last of these was.
    let most = 22 + 2 * begun.elapsed().as_secs() + u64::from(AT_ONCE);
    assert!((15..=most).contains(&looked_at), "{looked_at} of {most}");
}

const AT_ONCE: u8 = 10;

/// A controller over the first process, and how it is reached.
struct Place {
    listener: std::net::SocketAddr,
    identifier: ockam_identity::Identifier,
    code: String,
    _services: ockam_orchestrator::controller::ControllerServices,
}

impl Place {
    fn asked_by(&self, person: &Person, port: u16) -> ControllerClient {
        let place = ControllerPlace {
            route: format!("/ip4/127.0.0.1/tcp/{port}/service/api")
                .parse()
                .unwrap(),
            identifier: self.identifier,
        };
        ControllerClient::new(
            person.node.clone(),
            person.own(),
            place,
            Duration::from_secs(10),
        )
    }
}

impl crate::world::Process {
    async fn serve_controller(&self) -> Place {
        let identifier = *self.controller.identifier();
        let record = self.state.store().identity_of(&identifier).await;
        let record = record.unwrap().unwrap();
        let every = Duration::from_secs(60);
        let identity = StoredIdentity::follow(&self.state, &record, KeyLifetime::USUAL, every)
            .await
            .unwrap();
        let options = ListenerOptions {
            identity,
            authorized: Vec::new(),
            timeout: Duration::from_secs(10),
        };
        let api = Address::from_static("api");
        let channels = self.outer.start_channel_listener(&api, options).unwrap();
        self.outer.router().add_consumer(&api, self.listener.flow());
        let issuer = StoredIssuer::new(&self.state, identifier, KeyLifetime::USUAL);
        let options = ControllerOptions::new(identifier, Arc::new(issuer), self.projects.clone());
        let controller = Controller::open(self.state.store().clone(), options);
        let code = controller
            .first_administrator_code(Duration::from_secs(600), None)
            .await
            .unwrap();
        Place {
            listener: self.listener.address(),
            identifier,
            code: code.to_string(),
            _services: controller.serve(&self.outer, channels.flow()).unwrap(),
        }
    }
}
