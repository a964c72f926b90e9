use ockam_identity::Identifier;
use ockam_wire::DecodeError;
use proptest::prelude::*;

use super::*;
use crate::value::Email;

fn bytes(text: &str) -> Vec<u8> {
    hex::decode(text.replace(' ', "")).expect("hex")
}

/// Writes as these bytes, and reads back from them.
fn is<T: Item + PartialEq + std::fmt::Debug>(body: &T, hex_text: &str) {
    assert_eq!(hex::encode(&*body.encode()), hex_text.replace(' ', ""));
    assert_eq!(T::decode(&bytes(hex_text)).as_ref(), Ok(body));
}

fn email(text: &str) -> Email {
    text.parse().expect(text)
}

fn project() -> Project {
    Project {
        id: "p".to_owned(),
        name: "n".to_owned(),
        space_name: "s".to_owned(),
        access_route: String::new(),
        users: vec!["a@b".to_owned()],
        space_id: "i".to_owned(),
        identity: None,
        authority_access_route: None,
        authority_identity: None,
        okta_config: None,
        kafka_config: None,
        version: None,
        running: None,
        operation_id: Some("o".to_owned()),
        user_roles: vec![ProjectUserRole {
            email: "a@b".to_owned(),
            id: 7,
            role: Role::Admin,
            scope: Scope::Space,
        }],
        project_change_history: None,
    }
}

#[test]
fn enrollment_is_as_in_the_vectors() {
    let vectors: serde_json::Value =
        serde_json::from_str(include_str!("../../../../../vectors/api.json")).expect("JSON");
    let token = vectors["bodies"]["authenticate_oidc_token"]
        .as_str()
        .expect("hex");
    let read = AuthenticateOidcToken::decode(&bytes(token)).expect("a token");
    assert_eq!(*read.access_token, "tok");
    assert_eq!(hex::encode(&*read.encode()), token);
}

// Written by hand from trust 9.3 to 9.7.
#[test]
fn spaces_are_maps_with_numbers_as_keys() {
    let mut space = Space {
        id: "i".to_owned(),
        name: "n".to_owned(),
        users: vec!["a@b".to_owned()],
        subscription: None,
    };
    is(&space, "a3 01 61 69 02 61 6e 03 81 63 614062");
    space.subscription = Some(Subscription {
        name: "Gold".to_owned(),
        is_free_trial: false,
        marketplace: None,
        start: Some(1),
        end: None,
    });
    is(
        &space,
        "a4 01 61 69 02 61 6e 03 81 63 614062 04 a3 01 64 476f6c64 02 f4 04 01",
    );
    is(
        &CreateSpace {
            name: "n".to_owned(),
            users: vec![email("a@b")],
        },
        "a2 01 61 6e 02 81 63 614062",
    );
    is(
        &vec![AdminInfo {
            email: email("a@b"),
        }],
        "81 a1 01 63 614062",
    );
}

#[test]
fn projects_are_maps_with_numbers_as_keys() {
    let project = project();
    is(
        &project,
        "a8 01 61 70 02 61 6e 03 61 73 05 60 06 81 63 614062 07 61 69 0f 61 6f
         10 81 a4 01 63 614062 02 07 03 00 04 02"
            .replace('\n', "")
            .as_str(),
    );
    assert!(!project.is_ready());
    assert!(project.is_admin(&email("A@B")));
    let mut full = project;
    full.access_route = "/service/p/service/api".to_owned();
    full.identity = Some(Identifier::new([1; 32]));
    full.authority_access_route = Some("/service/x".to_owned());
    full.authority_identity = Some("81".to_owned());
    full.project_change_history = Some("81".to_owned());
    full.okta_config = Some(OktaConfig {
        tenant_base_url: "https://t".to_owned(),
        certificate: "-----BEGIN\n".to_owned(),
        client_id: "c".to_owned(),
        attributes: vec!["email".to_owned()],
    });
    full.kafka_config = Some(KafkaConfig {
        bootstrap_server: "k:1".to_owned(),
    });
    full.version = Some("1".to_owned());
    full.running = Some(true);
    assert_eq!(Project::decode(&full.encode()).as_ref(), Ok(&full));
    assert!(full.is_ready());
    let details = full.details();
    assert_eq!(details.user_roles[0]["role"], "admin");
    is(
        &CreateProject {
            name: "n".to_owned(),
            users: Vec::new(),
        },
        "a2 01 61 6e 03 80",
    );
    is(
        &Operation {
            id: "o".to_owned(),
            status: OperationStatus::Succeeded,
        },
        "a2 01 61 6f 02 01",
    );
    is(
        &Addon {
            id: "okta".to_owned(),
            description: "d".to_owned(),
            enabled: true,
        },
        "a3 01 64 6f6b7461 02 61 64 03 f5",
    );
}

#[test]
fn invitations_are_maps_with_numbers_as_keys() {
    is(
        &CreateInvitation {
            expires_at: None,
            grant_role: Role::Guest,
            recipient_email: email("a@b"),
            remaining_uses: Some(1),
            scope: Scope::Project,
            target_id: "p".to_owned(),
        },
        "a5 02 01 03 63 614062 04 01 05 00 06 61 70",
    );
    is(
        &ListInvitations {
            kind: InvitationKind::Accepted,
        },
        "a1 01 03",
    );
    is(
        &InvitationList {
            sent: Some(Vec::new()),
            received: None,
            accepted: None,
        },
        "a1 01 80",
    );
    is(
        &InvitationWithAccess {
            invitation: ReceivedInvitation {
                id: "i".to_owned(),
                expires_at: "t".to_owned(),
                grant_role: Role::Admin,
                owner_email: "a@b".to_owned(),
                scope: Scope::Space,
                target_id: "s".to_owned(),
                ignored: false,
            },
            access_details: None,
        },
        "a1 01 a7 01 61 69 02 61 74 03 00 04 63 614062 05 02 06 61 73 07 f4",
    );
    is(
        &RedeemedInvitation {
            id: "i".to_owned(),
            role: Role::ServiceUser,
            target_id: "p".to_owned(),
        },
        "a3 01 61 69 02 02 03 61 70",
    );
}

#[test]
fn subscriptions_have_bodies_of_text_too() {
    assert_eq!(hex::encode(encode_text("hey")), "03686579");
    assert_eq!(decode_text(&bytes("03686579")), Ok("hey".to_owned()));
    assert!(decode_text(&bytes("0368651b")).is_err());
    assert!(decode_text(&bytes("04686579")).is_err());
    let free = Subscription {
        name: "Basic".to_owned(),
        is_free_trial: true,
        marketplace: None,
        start: None,
        end: Some(5),
    };
    assert!(free.is_valid(4) && !free.is_valid(5));
}

#[test]
fn versions_may_be_unknown() {
    is(
        &VersionInfo {
            version: None,
            project_version: None,
        },
        "a0",
    );
}

#[test]
fn readers_take_what_published_ones_take() {
    // Indefinite lengths, null for what is absent, fields of later versions, numbers in longer form.
    let read = Space::decode(&bytes(
        "bf 01 61 69 02 61 6e 03 9f ff 1804 f6 18 63 82 01 a1 01 02 ff",
    ));
    assert_eq!(read.expect("a space").subscription, None);
}

#[test]
fn anything_else_is_refused() {
    type Read = fn(&[u8]) -> Option<DecodeError>;
    let cases: [(Read, &str); 9] = [
        // A field is missing, is there twice, or has another type; bytes follow; a list without end.
        (|b| Space::decode(b).err(), "a2 01 61 69 02 61 6e"),
        (|b| Space::decode(b).err(), "a2 01 61 69 01 61 69"),
        (|b| Operation::decode(b).err(), "a2 01 61 6f 02 03"),
        (|b| Operation::decode(b).err(), "a2 01 01 02 01"),
        (|b| VersionInfo::decode(b).err(), "a0 00"),
        (
            |b| Vec::<Space>::decode(b).err(),
            "9b ff ff ff ff ff ff ff ff",
        ),
        // Text that steers a terminal; no address of a person.
        (|b| CreateProject::decode(b).err(), "a2 01 61 1b 03 80"),
        (|b| AdminInfo::decode(b).err(), "a1 01 61 61"),
        // An identifier of another length.
        (|b| Vec::<Identifier>::decode(b).err(), "81 41 00"),
    ];
    for (read, text) in cases {
        assert!(read(&bytes(text)).is_some(), "{text}");
    }
    let mut long = vec![0x9f];
    long.extend(std::iter::repeat_n(0x60, MAX_ITEMS + 1));
    long.push(0xff);
    assert!(Vec::<String>::decode(&long).is_err());
    let long = "x".repeat(MAX_TEXT + 1);
    assert!(String::decode(&long.encode()).is_err());
}

#[test]
fn secrets_do_not_show() {
    let code = InvitationCode {
        id: "i".to_owned(),
        code: Secret::new("abcdef".to_owned()),
        expires_at: 1,
    };
    assert!(!format!("{code:?}").contains("abcdef"));
}

/// Reads bytes as every kind of body that a controller or its client takes.
fn read_all(body: &[u8]) -> usize {
    macro_rules! read {
        ($($kind:ty),* $(,)?) => { [$(<$kind>::decode(body).is_ok()),*] };
    }
    let read = read![
        Vec<Space>,
        CreateSpace,
        Vec<AdminInfo>,
        Vec<Project>,
        CreateProject,
        Operation,
        OperationStarted,
        Vec<Addon>,
        OktaConfig,
        ConfigureConfluent,
        InfluxConfig,
        DisableAddon,
        VersionInfo,
        CreateInvitation,
        CreateServiceInvitation,
        ListInvitations,
        InvitationList,
        InvitationWithAccess,
        RedeemInvitation,
        RedeemedInvitation,
        ActivateSubscription,
        Vec<SubscriptionLegacy>,
        SignInInfo,
        Me,
        NewInvitation,
        InvitationCode,
        Page<InvitationInfo>,
        Page<AccountInfo>,
        Page<RelayItem>,
        Page<TicketItem>,
        Page<AuditEntry>,
        PageRequest,
        ProjectPageRequest,
    ];
    read.iter().filter(|read| **read).count()
        + usize::from(AuthenticateOidcToken::decode(body).is_ok())
        + usize::from(decode_text(body).is_ok())
}

proptest! {
    #[test]
    fn whatever_comes_is_read_or_refused(
        garbage in proptest::collection::vec(any::<u8>(), 0..300),
        at in 0usize..400,
        byte in any::<u8>(),
    ) {
        read_all(&garbage);
        let mut mutated = vec![project()].encode().to_vec();
        let length = mutated.len();
        if let Some(place) = mutated.get_mut(at % length) {
            *place = byte;
        }
        read_all(&mutated);
        mutated.truncate(at % length);
        prop_assert!(Vec::<Project>::decode(&mutated).is_err());
    }
}
