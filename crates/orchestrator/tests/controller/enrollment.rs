//! The bytes of one whole enrollment, kept in `vectors/enrollment.json`.

use ockam_control::controller::message::{
    AuthenticateOidcToken, CreateProject, CreateSpace, Item as _, OidcTokenKind, Project, Space,
};
use ockam_identity::CredentialBundle;
use ockam_orchestrator::controller::Service;
use ockam_wire::envelope::{MessageId, Method, Request, Response};
use serde_json::{Value, json};

use crate::world::{Asker, Empty, NOW};

struct Exchange {
    empty: Empty,
    asker: Asker,
    kept: Vec<Value>,
}

impl Exchange {
    async fn ask(
        &mut self,
        service: Service,
        method: Method,
        path: &str,
        body: Option<&[u8]>,
    ) -> Vec<u8> {
        let id = MessageId(u32::try_from(self.kept.len()).unwrap() + 1);
        let request = Request::new(id, method, path).encode(body);
        let answer = self
            .empty
            .controller
            .answer(service, Some(&self.asker.caller), &request)
            .await
            .unwrap();
        self.kept.push(json!({
            "service": service.address(),
            "method": format!("{method:?}"),
            "path": path,
            "request": hex::encode(&request),
            "answer": hex::encode(&*answer),
        }));
        let (response, body) = Response::decode(&answer).unwrap();
        assert!(response.is_ok(), "{path}");
        body.unwrap_or_default().to_vec()
    }
}

#[tokio::test]
async fn a_whole_enrollment_has_the_bytes_of_the_vectors() {
    let empty = Empty::new().await;
    let code = empty
        .controller
        .first_administrator_code(std::time::Duration::from_secs(600), None)
        .await
        .unwrap();
    let mut exchange = Exchange {
        empty,
        asker: Asker::new(10, "administrator@localhost"),
        kept: Vec::new(),
    };
    let token = AuthenticateOidcToken {
        kind: OidcTokenKind::Bearer,
        access_token: format!("code:{}", *code).into(),
    };
    exchange
        .ask(
            Service::Enroll,
            Method::Post,
            "v0/enroll",
            Some(&token.encode()),
        )
        .await;
    exchange
        .ask(Service::Spaces, Method::Get, "/v0/", None)
        .await;
    let space = CreateSpace {
        name: "space".to_owned(),
        users: Vec::new(),
    };
    let space = exchange
        .ask(Service::Spaces, Method::Post, "/v0/", Some(&space.encode()))
        .await;
    let space = Space::decode(&space).unwrap();
    exchange
        .ask(Service::Projects, Method::Get, "/v0", None)
        .await;
    let project = CreateProject {
        name: "default".to_owned(),
        users: Vec::new(),
    };
    let path = format!("/v1/spaces/{}/projects", space.id);
    let project = exchange
        .ask(
            Service::Projects,
            Method::Post,
            &path,
            Some(&project.encode()),
        )
        .await;
    let project = Project::decode(&project).unwrap();
    // What a published client checks before it calls a project ready.
    assert!(project.is_ready());
    let details = project.details().verify(ockam_vault::fast()).unwrap();
    assert_eq!(details.identity(), project.identity.as_ref());
    assert!(details.authority().is_some());
    let path = format!("/v1/operations/{}", project.operation_id.as_ref().unwrap());
    exchange
        .ask(Service::Projects, Method::Get, &path, None)
        .await;
    exchange
        .ask(
            Service::Projects,
            Method::Get,
            &format!("/v0/{}", project.id),
            None,
        )
        .await;
    exchange
        .ask(Service::Accounts, Method::Get, "/v0/account", None)
        .await;
    let path = format!("/v0/project/{}", project.id);
    let bundle = exchange
        .ask(Service::Accounts, Method::Get, &path, None)
        .await;
    let credential = CredentialBundle::decode(&bundle)
        .unwrap()
        .verify(
            ockam_vault::fast(),
            &exchange.empty.issuer.history,
            Some(exchange.asker.caller.identifier()),
            NOW,
        )
        .unwrap();
    assert_eq!(
        credential.attributes().get(b"project"),
        Some(project.id.as_bytes())
    );

    let found = json!({
        "status": "derived: written by this implementation from trust 9 with fixed keys, ids and time; the paths, methods and \
                   keys of the bodies are those that the published client sends and reads",
        "time": NOW.0,
        "controller": exchange.empty.issuer.history.identifier().to_string(),
        "caller": exchange.asker.caller.identifier().to_string(),
        "one_time_code": *code,
        "exchanges": exchange.kept,
    });
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../vectors/enrollment.json");
    if std::env::var_os("UPDATE_VECTORS").is_some() {
        let text = serde_json::to_string_pretty(&found).unwrap() + "\n";
        std::fs::write(path, text).unwrap();
    }
    let kept: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(kept, found);
}
