//! Enrollment tickets: every form, and what becomes of mangled ones.

use ockam_identity::{
    EnrollmentTicket, HistoryError, IdentifierError, MAX_TICKET_LEN, OneTimeCode, ProjectDetails,
    ProjectError, TicketError,
};
use ockam_vault::portable;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::forge::{identity, secret};

#[test]
fn the_published_ticket_is_read_in_each_of_its_forms() {
    let vector = vector();
    let json = vector["json"].to_string();
    let forms = [
        text(&vector, "plain").to_owned(),
        text(&vector, "hex").to_owned(),
        text(&vector, "hex").to_uppercase(),
        hex::encode(&json),
        json,
        format!("\n  {}\n", text(&vector, "plain")),
        format!("{},an eighth field,and a ninth", text(&vector, "plain")),
    ];
    for form in forms {
        let ticket = read(&form).unwrap();
        assert_eq!(
            ticket.one_time_code().reveal(),
            text(&vector, "one_time_code")
        );
        let project = ticket.project();
        assert_eq!(project.details().id, text(&vector, "project_id"));
        assert_eq!(project.details().name, text(&vector, "project_name"));
        assert_eq!(
            project.details().access_route,
            text(&vector, "project_route")
        );
        assert_eq!(
            project.identity().unwrap().to_string(),
            text(&vector, "project_identifier")
        );
        assert_eq!(
            project.history().unwrap().to_hex(),
            text(&vector, "project_change_history")
        );
        assert_eq!(
            ticket.authority().to_hex(),
            text(&vector, "authority_change_history")
        );
        assert_eq!(
            project.authority_route(),
            Some(text(&vector, "authority_route"))
        );
    }
}

#[test]
fn the_published_ticket_is_written_byte_for_byte() {
    let vector = vector();
    let ticket = read(text(&vector, "plain")).unwrap();
    assert_eq!(*ticket.to_plain(), text(&vector, "plain"));
    assert_eq!(*ticket.to_hex(), text(&vector, "hex"));
    let json: Value = serde_json::from_str(&ticket.to_json()).unwrap();
    assert_eq!(json, vector["json"]);
}

#[test]
fn the_legacy_form_survives_a_round_trip_and_is_read_without_hex() {
    let vector = vector();
    let ticket = read(text(&vector, "plain")).unwrap();
    let legacy = ticket.to_legacy();
    let again = read(&legacy).unwrap();
    assert_eq!(*again.to_plain(), *ticket.to_plain());

    let json: Value = serde_json::from_slice(&hex::decode(&*legacy).unwrap()).unwrap();
    assert_eq!(
        json["one_time_code"].as_str(),
        Some(text(&vector, "one_time_code"))
    );
    assert_eq!(json["project"]["id"], "p-1");
    assert_eq!(
        *read(&json.to_string()).unwrap().to_plain(),
        *ticket.to_plain()
    );
}

#[test]
fn what_a_legacy_ticket_says_of_the_project_is_kept() {
    let mut json = legacy();
    json["project"]["space_name"] = json!("a space");
    json["project"]["users"] = json!(["a@example.com"]);
    json["project"]["okta_config"] = json!({"tenant_base_url": "https://example.com"});
    json["project"]["a later field"] = json!(1);
    let ticket = read(&json.to_string()).unwrap();
    let details = ticket.project().details();
    assert_eq!(details.space_name, "a space");
    assert_eq!(details.users, ["a@example.com"]);
    let again = ProjectDetails::from_json(&details.to_json()).unwrap();
    assert_eq!(&again, details);
}

#[test]
fn a_project_whose_node_is_not_known_has_a_ticket_all_the_same() {
    let plain = replaced(&[(1, ""), (4, "")]);
    let ticket = read(&plain).unwrap();
    assert_eq!(ticket.project().identity(), None);
    assert_eq!(*ticket.to_plain(), plain);
    // An identifier without its history still says whom to expect.
    let ticket = read(&replaced(&[(4, "")])).unwrap();
    assert_eq!(
        ticket.project().identity().unwrap().to_string(),
        text(&vector(), "project_identifier")
    );
}

#[test]
fn each_mangled_field_is_named() {
    let other = identity(&secret(9)).to_hex();
    let vector = vector();
    let cut = |field: &str| text(&vector, field)[..100].to_owned();
    let cases = [
        (0, "", TicketError::NoProject),
        (0, "/dnsaddr/example.com/tcp/443", TicketError::NoProject),
        (0, "service/p-1/service/api", TicketError::NoProject),
        (
            1,
            "322915",
            TicketError::Identifier(IdentifierError::Prefix),
        ),
        (
            1,
            "I322915",
            TicketError::Identifier(IdentifierError::Length),
        ),
        (2, "", TicketError::Project(ProjectError::Missing("name"))),
        (2, "a\u{7}b", TicketError::Text("project_name")),
        (3, "", TicketError::Code),
        (3, "abab", TicketError::Code),
        (5, "", TicketError::Missing("authority_change_history")),
        (6, "", TicketError::Missing("authority_route")),
    ];
    for (field, value, error) in cases {
        assert_eq!(read(&replaced(&[(field, value)])).unwrap_err(), error);
    }
    // The history of somebody else, and a part of the right one.
    assert!(matches!(
        read(&replaced(&[(4, &other)])).unwrap_err(),
        TicketError::Project(ProjectError::History {
            whose: "project",
            source: HistoryError::UnexpectedIdentifier { .. }
        })
    ));
    for (field, whose) in [(4, "project"), (5, "authority")] {
        let part = cut(&format!("{whose}_change_history"));
        assert!(matches!(
            read(&replaced(&[(field, &part)])).unwrap_err(),
            TicketError::Project(ProjectError::History {
                whose: named,
                source: HistoryError::Decode(_)
            }) if named == whose
        ));
    }
}

#[test]
fn a_forged_history_is_refused() {
    let vector = vector();
    let mut bytes = hex::decode(text(&vector, "authority_change_history")).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    assert!(matches!(
        read(&replaced(&[(5, &hex::encode(bytes))])).unwrap_err(),
        TicketError::Project(ProjectError::History {
            whose: "authority",
            source: HistoryError::Signature { position: 0, .. }
        })
    ));
}

#[test]
fn what_is_no_ticket_is_told_apart_from_half_a_ticket() {
    let vector = vector();
    let (plain, in_hex) = (text(&vector, "plain"), text(&vector, "hex"));
    assert_eq!(read(" \n").unwrap_err(), TicketError::Empty);
    assert_eq!(read("ticket").unwrap_err(), TicketError::Unrecognised);
    assert_eq!(
        read("./no-such.ticket").unwrap_err(),
        TicketError::Unrecognised
    );
    assert_eq!(
        read(&in_hex[..in_hex.len() - 1]).unwrap_err(),
        TicketError::HalfByte
    );
    let half = plain.split_inclusive(',').take(4).collect::<String>();
    assert_eq!(
        read(half.trim_end_matches(',')).unwrap_err(),
        TicketError::Fields(4)
    );
    assert_eq!(
        read(&hex::encode(half.trim_end_matches(','))).unwrap_err(),
        TicketError::Fields(4)
    );
    assert_eq!(
        read("ff".repeat(64).as_str()).unwrap_err(),
        TicketError::Unrecognised
    );
    assert_eq!(
        read("{\n  \"one_time_code\": 1\n}").unwrap_err(),
        TicketError::Json {
            line: 2,
            column: 20
        }
    );
    assert_eq!(
        read(&"a".repeat(MAX_TICKET_LEN + 1)).unwrap_err(),
        TicketError::TooLarge
    );
}

#[test]
fn missing_and_contradicting_fields_of_json_are_named() {
    for field in [
        "one_time_code",
        "project_route",
        "project_name",
        "authority_change_history",
        "authority_route",
    ] {
        let mut json = vector()["json"].clone();
        json.as_object_mut().unwrap().remove(field);
        assert_eq!(
            read(&json.to_string()).unwrap_err(),
            TicketError::Missing(field)
        );
    }
    let mut json = vector()["json"].clone();
    json["project_route"]["id"] = json!("p-2");
    assert_eq!(
        read(&json.to_string()).unwrap_err(),
        TicketError::OtherProject
    );
    let mut json = vector()["json"].clone();
    json["one_time_code"] = json!("not a code");
    assert_eq!(read(&json.to_string()).unwrap_err(), TicketError::Code);

    let mut json = legacy();
    json["project"]["authority_identity"] = Value::Null;
    assert_eq!(
        read(&json.to_string()).unwrap_err(),
        TicketError::Missing("authority_change_history")
    );
}

#[test]
fn a_ticket_the_plain_form_cannot_hold_is_not_made() {
    let vector = vector();
    let details = |change: &dyn Fn(&mut ProjectDetails)| {
        let ticket = read(text(&vector, "plain")).unwrap();
        let (code, project) = ticket.into_parts();
        let mut details = project.details().clone();
        change(&mut details);
        EnrollmentTicket::new(code, details.verify(portable()).unwrap()).map(|_| ())
    };
    assert_eq!(details(&|_| {}), Ok(()));
    assert_eq!(
        details(&|it| it.name = "a, b".into()),
        Err(TicketError::Text("project_name"))
    );
    assert_eq!(
        details(&|it| it.id = "p-2".into()),
        Err(TicketError::OtherProject)
    );
}

#[test]
fn nothing_shows_the_code() {
    let ticket = read(&secretive()).unwrap();
    assert!(!format!("{ticket:?}").contains(&CODE[..8]));
}

proptest! {
    #[test]
    fn mangled_tickets_never_show_their_code_nor_break_the_reader(
        form in 0..4_usize,
        edits in proptest::collection::vec((any::<u8>(), any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let ticket = read(&secretive()).unwrap();
        let original = [
            ticket.to_plain().to_string(),
            ticket.to_hex().to_string(),
            ticket.to_json().to_string(),
            ticket.to_legacy().to_string(),
        ][form].clone();
        let mut bytes = original.into_bytes();
        for (kind, at, byte) in edits {
            let at = at.index(bytes.len().max(1));
            match kind % 4 {
                0 if at < bytes.len() => bytes[at] = byte,
                1 => bytes.insert(at, b",{}\"/ "[usize::from(byte) % 6]),
                2 => bytes.truncate(at),
                _ if at < bytes.len() => drop(bytes.remove(at)),
                _ => {}
            }
        }
        let text = String::from_utf8_lossy(&bytes);
        if let Err(error) = read(&text) {
            let shown = format!("{error} {error:?}");
            let quoted = (0..=CODE.len() - 8).any(|start| shown.contains(&CODE[start..start + 8]));
            prop_assert!(!quoted, "{}", shown);
        }
    }

    #[test]
    fn arbitrary_text_does_not_break_the_reader(text in "[{}\\[\\]\",:/a-f0-9 \\PC]{0,200}") {
        let _ = read(&text);
        let _ = ProjectDetails::from_json(&text);
    }
}

const CODE: &str = "00112233445566778899aabbccddeeff0123456789abcdeffedcba9876543210";

/// The published ticket with a code whose parts do not occur elsewhere.
fn secretive() -> String {
    let code: OneTimeCode = CODE.parse().expect("this is a code");
    replaced(&[(3, &code.reveal())])
}

/// The published ticket with other fields.
fn replaced(fields: &[(usize, &str)]) -> String {
    let vector = vector();
    let mut plain: Vec<&str> = text(&vector, "plain").split(',').collect();
    for (position, value) in fields {
        plain[*position] = value;
    }
    plain.join(",")
}

fn legacy() -> Value {
    let ticket = read(text(&vector(), "plain")).expect("the vector is good");
    let json = hex::decode(&*ticket.to_legacy()).expect("this is hex");
    serde_json::from_slice(&json).expect("this is JSON")
}

fn read(text: &str) -> Result<EnrollmentTicket, TicketError> {
    EnrollmentTicket::read(portable(), text)
}

fn vector() -> Value {
    serde_json::from_str(include_str!("../../../../vectors/ticket.json"))
        .expect("the vectors are JSON")
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().expect("the field is text")
}
