//! Every path by everybody: a table. And the guards of trust 11 that an authority keeps.

use std::collections::BTreeMap;
use std::sync::Arc;

use ockam_authority::message::{
    AddMember, AuthenticateOidcToken, CreateToken, MemberAttributes, OidcTokenKind, PageRequest,
    Question, decode_one_time_code, encode_one_time_code,
};
use ockam_authority::{
    Admins, Authority, AuthorityOptions, Caller, MemoryMembers, Okta, Service, SignIn, SignInError,
    UserInfoFuture,
};
use ockam_identity::{Identifier, OneTimeCode};
use ockam_wire::Address;
use ockam_wire::envelope::{ErrorBody, MessageId, Method, Request, Response, Status};

use crate::world::Person;

/// Who asks, in the order of the columns below.
const WHO: [&str; 6] = [
    "nobody", "stranger", "member", "enroller", "trusted", "project",
];

#[tokio::test]
async fn every_path_answers_everybody_as_it_should() {
    use Method::{Delete, Get, Post};
    use Service::{
        CredentialIssuer, DirectAuthenticator, Okta, TokenAcceptor, TokenIssuer, WithdrawalNotices,
    };
    let plain = || Body::Add("other", &[("a", "b")]);
    let enroller = || Body::Add("other", &[("ockam-role", "enroller")]);
    let token = || Body::Token(&[("a", "b")]);
    let enroller_token = || Body::Token(&[("ockam-role", "enroller")]);
    #[rustfmt::skip]
    let table = [
        // what is asked                                          nobody, stranger, member, enroller, trusted, project admin
        (DirectAuthenticator, Post, "/", plain(),                 [400, 403, 403, 200, 200, 200]),
        (DirectAuthenticator, Post, "/members", plain(),          [400, 403, 403, 200, 200, 200]),
        (DirectAuthenticator, Post, "members", plain(),           [400, 403, 403, 200, 200, 200]),
        (DirectAuthenticator, Post, "/", enroller(),              [400, 403, 403, 403, 200, 200]),
        (DirectAuthenticator, Get, "/", Body::None,               [400, 403, 403, 200, 200, 200]),
        (DirectAuthenticator, Get, "//members", Body::None,       [400, 403, 403, 200, 200, 200]),
        (DirectAuthenticator, Get, "/member_ids", Body::None,     [400, 403, 403, 200, 200, 200]),
        (DirectAuthenticator, Get, "/{plain}", Body::None,        [400, 403, 403, 200, 200, 200]),
        (DirectAuthenticator, Get, "/members/{plain}", Body::None, [400, 403, 403, 200, 200, 200]),
        (DirectAuthenticator, Get, "/{other}", Body::None,        [400, 403, 403, 403, 403, 403]),
        (DirectAuthenticator, Get, "/nonsense", Body::None,       [400, 400, 400, 400, 400, 400]),
        (DirectAuthenticator, Delete, "/{plain}", Body::None,     [400, 403, 403, 200, 200, 200]),
        (DirectAuthenticator, Delete, "/members/{plain}", Body::None, [400, 403, 403, 200, 200, 200]),
        (DirectAuthenticator, Delete, "/{second}", Body::None,    [400, 403, 403, 403, 200, 200]),
        (DirectAuthenticator, Delete, "/{trusted}", Body::None,   [400, 403, 403, 403, 403, 403]),
        (DirectAuthenticator, Delete, "/members", Body::None,     [400, 403, 403, 200, 200, 200]),
        (DirectAuthenticator, Post, "/members/page", Body::Page,  [400, 403, 403, 200, 200, 200]),
        (DirectAuthenticator, Post, "/member_ids/page", Body::Page, [400, 403, 403, 200, 200, 200]),
        (DirectAuthenticator, Post, "/", Body::Nonsense,          [400, 400, 400, 400, 400, 400]),
        (DirectAuthenticator, Method::Put, "/", plain(),          [400, 400, 400, 400, 400, 400]),
        (TokenIssuer, Post, "/", token(),                         [400, 403, 403, 200, 200, 200]),
        (TokenIssuer, Post, "/tokens", token(),                   [400, 403, 403, 200, 200, 200]),
        (TokenIssuer, Post, "tokens", token(),                    [400, 400, 400, 400, 400, 400]),
        (TokenIssuer, Post, "/", enroller_token(),                [400, 403, 403, 403, 200, 200]),
        (TokenIssuer, Get, "/", Body::None,                       [400, 400, 400, 400, 400, 400]),
        (TokenAcceptor, Post, "/", Body::Code,                    [400, 200, 403, 403, 403, 200]),
        (TokenAcceptor, Post, "/credential", Body::Code,          [400, 200, 403, 403, 403, 200]),
        (TokenAcceptor, Post, "/", Body::WrongCode,               [400, 403, 403, 403, 403, 403]),
        (TokenAcceptor, Post, "", Body::Code,                     [400, 400, 400, 400, 400, 400]),
        (CredentialIssuer, Post, "/", Body::None,                 [400, 403, 200, 200, 200, 200]),
        (CredentialIssuer, Post, "/credential", Body::None,       [400, 403, 200, 200, 200, 200]),
        (CredentialIssuer, Get, "/", Body::None,                  [400, 400, 400, 400, 400, 400]),
        (WithdrawalNotices, Post, "/", Body::Question,            [400, 403, 200, 200, 200, 200]),
        (WithdrawalNotices, Post, "/x", Body::Question,           [400, 400, 400, 400, 400, 400]),
        (Okta, Post, "v0/enroll", Body::Oidc("good"),             [403, 200, 403, 403, 403, 200]),
        (Okta, Post, "/v0/enroll", Body::Oidc("bad"),             [403, 403, 403, 403, 403, 403]),
        (Okta, Get, "v0/enroll", Body::Oidc("good"),              [403, 400, 400, 400, 400, 400]),
    ];
    for (service, method, path, body, expected) in &table {
        for (who, expected) in WHO.into_iter().zip(expected) {
            // What one changes is not there for the next.
            let house = House::new(Admins::default()).await;
            let said = house.ask(who, *service, *method, path, body).await;
            assert_eq!(
                said.status.code(),
                *expected,
                "{service:?} {method:?} {path} {body:?} by {who}: {said:?}"
            );
        }
    }
}

#[tokio::test]
async fn refusals_say_what_published_clients_look_for() {
    let house = House::new(Admins::default()).await;
    for (who, service, method, path, body, text) in [
        (
            "member",
            Service::TokenIssuer,
            Method::Post,
            "/",
            Body::Token(&[]),
            "Non-enroller is trying to issue an enrollment token",
        ),
        (
            "stranger",
            Service::TokenAcceptor,
            Method::Post,
            "/",
            Body::WrongCode,
            "Unknown enrollment token",
        ),
        (
            "member",
            Service::TokenAcceptor,
            Method::Post,
            "/",
            Body::Code,
            "Already a member",
        ),
        (
            "stranger",
            Service::CredentialIssuer,
            Method::Post,
            "/",
            Body::None,
            "unauthorized member",
        ),
        (
            "enroller",
            Service::DirectAuthenticator,
            Method::Get,
            "/{other}",
            Body::None,
            "Member {other} not found",
        ),
        (
            "enroller",
            Service::TokenIssuer,
            Method::Post,
            "/x",
            Body::None,
            "unknown path",
        ),
        (
            "nobody",
            Service::TokenIssuer,
            Method::Post,
            "/",
            Body::None,
            "secure channel required",
        ),
    ] {
        let said = house.ask(who, service, method, path, &body).await;
        assert_eq!(said.message, house.fill(text));
        assert_eq!(said.path, house.fill(path));
        assert_eq!(said.method, Some(method));
    }
}

#[tokio::test]
async fn deleting_all_leaves_who_asks_and_whom_it_may_not_delete() {
    let house = House::new(Admins::default()).await;
    house
        .ask(
            "enroller",
            Service::DirectAuthenticator,
            Method::Delete,
            "/members",
            &Body::None,
        )
        .await;
    for (who, stays) in [
        ("member", 403),
        ("plain", 403),
        ("enroller", 200),
        ("second", 200),
        ("trusted", 200),
    ] {
        let said = house
            .ask(
                who,
                Service::CredentialIssuer,
                Method::Post,
                "/",
                &Body::None,
            )
            .await;
        assert_eq!(said.status.code(), stays, "{who}");
    }
}

#[tokio::test]
async fn whoever_asks_too_much_waits_and_nobody_else_does() {
    let house = House::new(Admins::default()).await;
    let mut answers = Vec::new();
    for _ in 0..60 {
        let said = house
            .ask(
                "stranger",
                Service::TokenAcceptor,
                Method::Post,
                "/",
                &Body::WrongCode,
            )
            .await;
        answers.push(said.status);
    }
    assert!(
        answers
            .iter()
            .filter(|status| **status == Status::Forbidden)
            .count()
            <= 6
    );
    assert_eq!(answers.last(), Some(&Status::Conflict));
    let said = house
        .ask(
            "member",
            Service::CredentialIssuer,
            Method::Post,
            "/",
            &Body::None,
        )
        .await;
    assert_eq!(said.status, Status::Ok);
}

#[tokio::test]
async fn guard_11_2_01_reserved_names_are_refused_when_members_and_tokens_are_made() {
    let house = House::new(Admins::default()).await;
    for name in [
        &[("identifier", "x")][..],
        &[("a", "b"), ("has_credential", "true")],
    ] {
        for (service, body) in [
            (Service::DirectAuthenticator, Body::Add("other", name)),
            (Service::TokenIssuer, Body::Token(name)),
        ] {
            let said = house
                .ask("trusted", service, Method::Post, "/", &body)
                .await;
            assert_eq!(said.status, Status::Forbidden, "{body:?}");
        }
    }
}

#[tokio::test]
async fn guard_11_2_17_only_trusted_enrollers_make_enrollers_unless_asked_otherwise() {
    let role = &[("ockam-role", "enroller")];
    for (admins, who, status) in [
        (Admins::PreTrustedEnrollers, "enroller", 403),
        (Admins::PreTrustedEnrollers, "trusted", 200),
        (Admins::AllEnrollers, "enroller", 200),
        (Admins::Nobody, "trusted", 403),
        (Admins::Nobody, "project", 200),
    ] {
        let house = House::new(admins).await;
        let said = house
            .ask(
                who,
                Service::TokenIssuer,
                Method::Post,
                "/",
                &Body::Token(role),
            )
            .await;
        assert_eq!(said.status.code(), status, "{admins:?} {who}");
    }
}

#[tokio::test]
async fn guard_11_2_18_a_sign_in_touches_no_member_of_others_and_gives_no_role() {
    let house = House::new(Admins::default()).await;
    for who in ["member", "enroller", "trusted"] {
        let said = house
            .ask(
                who,
                Service::Okta,
                Method::Post,
                "v0/enroll",
                &Body::Oidc("good"),
            )
            .await;
        assert_eq!(said.message, "Already a member", "{who}");
    }
    // Who signed in may do so again.
    for _ in 0..2 {
        let said = house
            .ask(
                "stranger",
                Service::Okta,
                Method::Post,
                "v0/enroll",
                &Body::Oidc("good"),
            )
            .await;
        assert_eq!(said.status, Status::Ok);
    }
    let said = house
        .ask(
            "stranger",
            Service::TokenIssuer,
            Method::Post,
            "/",
            &Body::Token(&[]),
        )
        .await;
    assert_eq!(said.status, Status::Forbidden);
    for name in [
        "ockam-role",
        "identifier",
        "has_credential",
        "trust_context_id",
        "project",
    ] {
        assert!(
            Okta::new(Box::new(Tenant), vec![name.to_owned()]).is_err(),
            "{name}"
        );
    }
}

#[tokio::test]
async fn guard_11_2_26_only_an_admin_replaces_trusted_members_and_enrollers() {
    for target in ["trusted", "second"] {
        for (who, status) in [("enroller", 403), ("trusted", 200), ("project", 200)] {
            let house = House::new(Admins::default()).await;
            let body = Body::Add(target, &[("a", "b")]);
            let said = house
                .ask(who, Service::DirectAuthenticator, Method::Post, "/", &body)
                .await;
            assert_eq!(said.status.code(), status, "{who} {target}");
            // The mark of the trusted stays whoever changed the attributes.
            let path = format!("/{{{target}}}");
            let said = house
                .ask(
                    "project",
                    Service::DirectAuthenticator,
                    Method::Delete,
                    &path,
                    &Body::None,
                )
                .await;
            assert_eq!(said.status == Status::Ok, target != "trusted");
        }
    }
}

#[derive(Debug)]
enum Body {
    None,
    Nonsense,
    Add(&'static str, &'static [(&'static str, &'static str)]),
    Token(&'static [(&'static str, &'static str)]),
    Page,
    Code,
    WrongCode,
    Question,
    Oidc(&'static str),
}

#[derive(Debug)]
struct Said {
    status: Status,
    path: String,
    method: Option<Method>,
    message: String,
}

/// An authority with one of each.
struct House {
    authority: Authority<MemoryMembers>,
    people: BTreeMap<&'static str, Caller>,
    code: OneTimeCode,
}

impl House {
    async fn new(admins: Admins) -> Self {
        let issuer = Person::new();
        let names = [
            "stranger", "member", "plain", "enroller", "second", "trusted", "project", "other",
        ];
        let people: BTreeMap<&str, Caller> = names
            .into_iter()
            .map(|name| {
                let caller = Caller {
                    history: Arc::new(Person::new().history),
                    source: None,
                    channel: Address::local(name).unwrap(),
                    administers_project: name == "project",
                };
                (name, caller)
            })
            .collect();
        let role = MemberAttributes::from_pairs([("ockam-role", "enroller")]).unwrap();
        let mut options = AuthorityOptions::new("p");
        options.admins = admins;
        options.okta = Some(Okta::new(Box::new(Tenant), vec!["email".to_owned()]).unwrap());
        let authority = Authority::start(
            *issuer.history.identifier(),
            MemoryMembers::default(),
            Arc::new(issuer),
            BTreeMap::from([(*people["trusted"].identifier(), role)]),
            options,
        )
        .await
        .unwrap();
        let mut house = Self {
            authority,
            people,
            code: OneTimeCode::take(&mut [0; 32]),
        };
        let role: &'static [(&str, &str)] = &[("ockam-role", "enroller")];
        for (name, attributes) in [
            ("member", &[][..]),
            ("plain", &[("a", "b")]),
            ("enroller", role),
            ("second", role),
        ] {
            let add = Body::Add(name, attributes);
            let said = house
                .ask(
                    "project",
                    Service::DirectAuthenticator,
                    Method::Post,
                    "/",
                    &add,
                )
                .await;
            assert_eq!(said.status, Status::Ok);
        }
        house.code = house.make_code().await;
        house
    }

    async fn make_code(&self) -> OneTimeCode {
        let request = Request::new(MessageId(1), Method::Post, "/");
        let message = request.encode(Some(&CreateToken::default().encode()));
        let caller = &self.people["project"];
        let answer = self
            .authority
            .answer(Service::TokenIssuer, Some(caller), &message)
            .await;
        let answer = answer.unwrap();
        let (_, body) = Response::decode(answer.message()).unwrap();
        decode_one_time_code(body.unwrap()).unwrap()
    }

    async fn ask(
        &self,
        who: &str,
        service: Service,
        method: Method,
        path: &str,
        body: &Body,
    ) -> Said {
        let body = match body {
            Body::None => None,
            Body::Nonsense => Some(vec![0xff]),
            Body::Add(who, attributes) => Some(
                AddMember {
                    member: self.identifier(who),
                    attributes: MemberAttributes::from_pairs(attributes.iter().copied()).unwrap(),
                }
                .encode(),
            ),
            Body::Token(attributes) => Some(
                CreateToken {
                    attributes: MemberAttributes::from_pairs(attributes.iter().copied()).unwrap(),
                    ..CreateToken::default()
                }
                .encode(),
            ),
            Body::Page => Some(PageRequest::default().encode()),
            Body::Code => Some(encode_one_time_code(&self.code).to_vec()),
            Body::WrongCode => {
                Some(encode_one_time_code(&OneTimeCode::take(&mut [9; 32])).to_vec())
            }
            Body::Question => Some(Question::default().encode()),
            Body::Oidc(token) => Some(
                AuthenticateOidcToken {
                    kind: OidcTokenKind::Bearer,
                    access_token: (*token).to_owned().into(),
                }
                .encode()
                .to_vec(),
            ),
        };
        let request = Request::new(MessageId(7), method, self.fill(path));
        let message = request.encode(body.as_deref());
        let answer = self
            .authority
            .answer(service, self.people.get(who), &message)
            .await
            .unwrap();
        let (response, body) = Response::decode(answer.message()).unwrap();
        assert_eq!(response.re, MessageId(7));
        let error = ErrorBody::decode(body.unwrap_or_default());
        Said {
            status: response.status.unwrap(),
            path: error.path.unwrap_or_default(),
            method: error.method,
            message: error.message.unwrap_or_default(),
        }
    }

    fn identifier(&self, who: &str) -> Identifier {
        *self.people[who].identifier()
    }

    /// The text with identifiers in place of names in braces.
    fn fill(&self, text: &str) -> String {
        self.people
            .iter()
            .fold(text.to_owned(), |text, (name, caller)| {
                text.replace(&format!("{{{name}}}"), &caller.identifier().to_string())
            })
    }
}

/// A sign-in service that knows one token.
#[derive(Debug)]
struct Tenant;

impl SignIn for Tenant {
    fn user_info<'a>(&'a self, access_token: &'a str) -> UserInfoFuture<'a> {
        let told = if access_token == "good" {
            let told = [
                ("email", "a@b"),
                ("ockam-role", "enroller"),
                ("identifier", "x"),
            ];
            Ok(told
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into())
        } else {
            Err(SignInError("401".to_owned()))
        };
        Box::pin(std::future::ready(told))
    }
}
