//! Bodies: published vectors, recorded traffic, and what a peer may send instead.

use std::fmt::Debug;

use ockam_authority::message::{
    AddMember, AttributesEntry, AuthenticateOidcToken, CreateToken, IdentifierList,
    MemberAttributes, MemberList, MessageError, OidcTokenKind, decode_one_time_code,
    encode_one_time_code,
};
use ockam_identity::{CredentialBundle, OneTimeCode, UnixTime};
use ockam_wire::envelope::{Method, Request, Response};
use ockam_wire::{Buffer, RoutingMessage};
use proptest::prelude::*;
use serde_json::Value;

#[test]
fn published_bodies_are_read_and_written_the_same() {
    let vector = api();
    let bodies = &vector["bodies"];
    let entry = AttributesEntry {
        attributes: MemberAttributes::from_pairs([("k", "v")]).unwrap(),
        added_at: UnixTime(1_700_000_000),
        expires_at: None,
        added_by: Some(C.parse().unwrap()),
    };
    let bytes = unhex(&bodies["attributes_entry"]);
    assert_eq!(AttributesEntry::decode(&bytes), Ok(entry.clone()));
    assert_eq!(entry.encode(), bytes);

    let list = MemberList([(A.parse().unwrap(), entry)].into());
    let bytes = unhex(&bodies["member_list"]);
    assert_eq!(MemberList::decode(&bytes), Ok(list.clone()));
    assert_eq!(list.encode(), bytes);

    let add = AddMember {
        member: A.parse().unwrap(),
        attributes: MemberAttributes::from_pairs([("ockam-role", "enroller")]).unwrap(),
    };
    let bytes = unhex(&bodies["add_member"]);
    assert_eq!(AddMember::decode(&bytes), Ok(add.clone()));
    assert_eq!(add.encode(), bytes);

    let create = CreateToken {
        attributes: MemberAttributes::from_pairs([("a", "b")]).unwrap(),
        ttl_secs: Some(600),
        ttl_count: Some(1),
    };
    let bytes = unhex(&bodies["create_token"]);
    assert_eq!(CreateToken::decode(&bytes), Ok(create.clone()));
    assert_eq!(create.encode(), bytes);

    let bytes = unhex(&bodies["one_time_code"]);
    let code = OneTimeCode::take(&mut [0xab; 32]);
    assert_eq!(decode_one_time_code(&bytes), Ok(code));
    let code = OneTimeCode::take(&mut [0xab; 32]);
    assert_eq!(*encode_one_time_code(&code), bytes);

    let token = AuthenticateOidcToken {
        kind: OidcTokenKind::Bearer,
        access_token: "tok".to_owned().into(),
    };
    let bytes = unhex(&bodies["authenticate_oidc_token"]);
    assert_eq!(AuthenticateOidcToken::decode(&bytes), Ok(token.clone()));
    assert_eq!(*token.encode(), bytes);
    assert!(!format!("{token:?}").contains("tok\""));

    let (response, body) = {
        let message = unhex(&vector["response_ok_identifier_list_A"]);
        let (response, body) = Response::decode(&message).unwrap();
        (response, body.unwrap().to_vec())
    };
    assert!(response.is_ok());
    let list = IdentifierList(vec![A.parse().unwrap()]);
    assert_eq!(IdentifierList::decode(&body), Ok(list.clone()));
    assert_eq!(list.encode(), body);
}

#[test]
fn recorded_requests_to_a_published_authority_are_read_and_written_the_same() {
    let created = exchange("f1_create_token");
    assert_eq!(created.service, "enrollment_token_issuer");
    assert_eq!(created.path_and_method(), ("/", Some(Method::Post)));
    let create = CreateToken::decode(&created.body).unwrap();
    assert_eq!(create.attributes.get("dept"), Some("sales"));
    assert_eq!((create.ttl_secs, create.ttl_count), (Some(600), Some(1)));
    assert_eq!(create.encode(), created.body);
    let code = decode_one_time_code(&created.answer).unwrap();
    assert_eq!(*encode_one_time_code(&code), created.answer);

    let redeemed = exchange("f2_redeem");
    assert_eq!(redeemed.service, "enrollment_token_acceptor");
    assert_eq!(redeemed.path_and_method(), ("/", Some(Method::Post)));
    assert_eq!(decode_one_time_code(&redeemed.body), Ok(code));
    assert!(redeemed.answer.is_empty());

    let fetched = exchange("f3_fetch_credential");
    assert_eq!(fetched.service, "credential_issuer");
    assert_eq!(fetched.path_and_method(), ("/", Some(Method::Post)));
    assert!(fetched.body.is_empty());
    let bundle = &transcripts()["f3_fetch_credential"]["bundle"];
    assert_eq!(fetched.answer, unhex(bundle));
    assert!(CredentialBundle::decode(&fetched.answer).is_ok());
}

#[test]
fn lenient_forms_are_read() {
    // Indefinite lengths, unknown keys, nulls in place of what is absent, numbers longer than needed.
    let body = unhex_text("bf01bf61616162ff02f60a820102031801ff");
    let create = CreateToken::decode(&body).unwrap();
    assert_eq!((create.ttl_secs, create.ttl_count), (None, Some(1)));
    assert_eq!(create.attributes.get("a"), Some("b"));
}

#[test]
fn malformed_bodies_are_refused() {
    for (what, hex) in [
        ("nothing", ""),
        ("an array", "80"),
        ("no member", "a102a0"),
        ("a short identifier", "a2014101 02a0"),
        ("an attribute that is a number", "a2015820{32}02a1616101"),
        ("an attribute twice", "a2015820{32}02a2616161626161 6162"),
        ("the member twice", "a3015820{32}015820{32}02a0"),
        ("bytes behind", "a2015820{32}02a000"),
        ("a map that does not end", "bf015820{32}02a0"),
        ("more entries than bytes", "bbffffffffffffffff"),
    ] {
        let hex = hex.replace("{32}", &"aa".repeat(32)).replace(' ', "");
        assert!(AddMember::decode(&unhex_text(&hex)).is_err(), "{what}");
    }
    assert!(AuthenticateOidcToken::decode(&unhex_text("a201010263746f6b")).is_err());
    for code in ["a1015821{33}", "a1014100", "a0", "a1016161"] {
        let hex = code.replace("{33}", &"aa".repeat(33));
        assert!(decode_one_time_code(&unhex_text(&hex)).is_err(), "{code}");
    }
    let nested = format!("a301a00a{}00", "81".repeat(1000));
    assert!(CreateToken::decode(&unhex_text(&nested)).is_err());
}

proptest! {
    /// Whatever comes: no panic, and what is read is written to something that reads the same.
    #[test]
    fn arbitrary_bodies_are_read_or_refused(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        everything_holds(&body)?;
    }

    #[test]
    fn damaged_bodies_are_read_or_refused(which in 0..6usize, at in any::<prop::sample::Index>(), byte: u8, cut: bool) {
        let vector = api();
        let names = ["attributes_entry", "member_list", "add_member", "create_token", "one_time_code",
            "authenticate_oidc_token"];
        let mut body = unhex(&vector["bodies"][names[which]]);
        let at = at.index(body.len());
        if cut {
            body.truncate(at);
        } else {
            body[at] = byte;
        }
        everything_holds(&body)?;
    }
}

fn everything_holds(body: &[u8]) -> Result<(), TestCaseError> {
    fn holds<T: PartialEq + Debug>(
        body: &[u8],
        decode: impl Fn(&[u8]) -> Result<T, MessageError>,
        encode: impl Fn(&T) -> Vec<u8>,
    ) -> Result<(), TestCaseError> {
        if let Ok(value) = decode(body) {
            prop_assert_eq!(decode(&encode(&value)), Ok(value));
        }
        Ok(())
    }
    holds(body, AddMember::decode, AddMember::encode)?;
    holds(body, AttributesEntry::decode, AttributesEntry::encode)?;
    holds(body, MemberList::decode, MemberList::encode)?;
    holds(body, IdentifierList::decode, IdentifierList::encode)?;
    holds(body, CreateToken::decode, CreateToken::encode)?;
    holds(body, decode_one_time_code, |code| {
        encode_one_time_code(code).to_vec()
    })?;
    holds(body, AuthenticateOidcToken::decode, |token| {
        token.encode().to_vec()
    })
}

struct Exchange {
    service: String,
    request: Request,
    body: Vec<u8>,
    answer: Vec<u8>,
}

impl Exchange {
    fn path_and_method(&self) -> (&str, Option<Method>) {
        (&self.request.path, self.request.method)
    }
}

/// The request that a recorded channel carried, and its answer.
fn exchange(transcript: &str) -> Exchange {
    let all = transcripts();
    let messages: Vec<RoutingMessage> = all[transcript]["plaintexts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|plaintext| unhex(&plaintext["plaintext"]))
        .filter(|bytes| bytes.starts_with(&PAYLOAD))
        .map(|bytes| {
            let message = Buffer::from_slice(&bytes[PAYLOAD.len()..bytes.len() - 1]);
            RoutingMessage::decode(message).unwrap()
        })
        .collect();
    let [asked, answered] = messages.as_slice() else {
        panic!("{transcript}: {} messages", messages.len());
    };
    let (request, body) = Request::decode(asked.payload.as_slice()).unwrap();
    let (response, answer) = Response::decode(answered.payload.as_slice()).unwrap();
    assert!(response.is_ok(), "{transcript}");
    assert_eq!(
        request.encode(body),
        asked.payload.as_slice(),
        "{transcript}"
    );
    Exchange {
        service: asked.onward.last().unwrap().to_string().replace("0#", ""),
        body: body.unwrap_or_default().to_vec(),
        request,
        answer: answer.unwrap_or_default().to_vec(),
    }
}

fn transcripts() -> Value {
    let file = include_str!("../../../../vectors/live_transcript.json");
    serde_json::from_str::<Value>(file).unwrap()["transcripts"].clone()
}

fn api() -> Value {
    serde_json::from_str(include_str!("../../../../vectors/api.json")).unwrap()
}

fn unhex(value: &Value) -> Vec<u8> {
    unhex_text(value.as_str().unwrap())
}

fn unhex_text(text: &str) -> Vec<u8> {
    hex::decode(text).unwrap()
}

/// How the plaintext of a message that carries something begins; it ends with the empty padding.
const PAYLOAD: [u8; 4] = [0x82, 0x82, 0x00, 0x81];

const A: &str = "If6b39138c9f4fb18b975ae8b95d74ce9ceea29810865dddbe62df8f7ae7b9da0";
const C: &str = "I980783e607610b26200eb668969e41793381e71d47ad03f8f4824b49276e1735";
