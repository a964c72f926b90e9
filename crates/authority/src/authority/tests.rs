//! Who may change whom.

use std::collections::BTreeMap;
use std::sync::Arc;

use ockam_identity::{IdentityDraft, UnixTime, Validity, VerifiedHistory};
use ockam_vault::{Signer, SigningKeyType, SoftwareVault};
use ockam_wire::Address;

use super::*;
use crate::memory::MemoryMembers;
use crate::message::{ENROLLER, ROLE};
use crate::okta::{Okta, SignIn, SignInError, UserInfoFuture};
use crate::{IssueFuture, Statement};

#[tokio::test]
async fn guard_11_2_17_an_enroller_makes_no_enrollers() {
    let [admin, enroller, other] = [(); 3].map(|()| caller());
    let authority = authority(&admin, None).await;
    let make = |who: &Caller| AddMember {
        member: *who.identifier(),
        attributes: enrolls(),
    };
    let made = authority.add_member(&admin, make(&enroller)).await;
    made.unwrap();
    let refused = authority.add_member(&enroller, make(&other)).await;
    assert!(matches!(refused, Err(Refused::Forbidden(_))), "{refused:?}");
    assert!(standing(&authority, &other).await.is_none());
    let token = CreateToken {
        attributes: enrolls(),
        ..CreateToken::default()
    };
    let refused = authority.create_code(&enroller, token.clone()).await;
    assert!(matches!(refused, Err(Refused::Forbidden(_))));
    assert!(authority.create_code(&admin, token).await.is_ok());
}

#[tokio::test]
async fn guard_11_2_26_an_enroller_changes_neither_enrollers_nor_whom_the_authority_was_started_with()
 {
    let [admin, enroller, second] = [(); 3].map(|()| caller());
    let authority = authority(&admin, None).await;
    for who in [&enroller, &second] {
        let add = AddMember {
            member: *who.identifier(),
            attributes: enrolls(),
        };
        authority.add_member(&admin, add).await.unwrap();
    }
    for protected in [&admin, &second] {
        let before = standing(&authority, protected).await;
        let add = AddMember {
            member: *protected.identifier(),
            attributes: MemberAttributes::from_pairs([("a", "b")]).unwrap(),
        };
        let refused = authority.add_member(&enroller, add).await;
        assert!(matches!(refused, Err(Refused::Forbidden(_))), "{refused:?}");
        let removed = authority.remove_member(&enroller, protected.identifier());
        assert!(removed.await.is_err());
        assert_eq!(standing(&authority, protected).await, before);
    }
    // An admin who changes it leaves the mark on it.
    let add = AddMember {
        member: *admin.identifier(),
        attributes: enrolls(),
    };
    authority.add_member(&admin, add).await.unwrap();
    let (kept, _) = standing(&authority, &admin).await.unwrap();
    assert_eq!(kept, Standing::PreTrusted);
}

#[tokio::test]
async fn guard_11_2_18_who_signs_in_changes_no_member_and_gets_no_role() {
    #[derive(Debug)]
    struct Anybody;
    impl SignIn for Anybody {
        fn user_info<'a>(&'a self, token: &'a str) -> UserInfoFuture<'a> {
            let told = [(ROLE, ENROLLER), ("email", "e")];
            let told = told.map(|(name, value)| (name.to_owned(), value.to_owned()));
            let told = (token == "good")
                .then(|| BTreeMap::from(told))
                .ok_or_else(|| SignInError("no".to_owned()));
            Box::pin(std::future::ready(told))
        }
    }
    assert!(Okta::new(Box::new(Anybody), vec![ROLE.to_owned()]).is_err());
    let okta = Okta::new(Box::new(Anybody), vec!["email".to_owned()]).unwrap();
    let [admin, member, newcomer] = [(); 3].map(|()| caller());
    let authority = authority(&admin, Some(okta)).await;
    let add = AddMember {
        member: *member.identifier(),
        attributes: MemberAttributes::from_pairs([("component", "web")]).unwrap(),
    };
    authority.add_member(&admin, add).await.unwrap();
    for known in [&admin, &member] {
        let before = standing(&authority, known).await;
        assert!(authority.enroll_by_sign_in(known, "good").await.is_err());
        assert_eq!(standing(&authority, known).await, before);
    }
    assert!(authority.enroll_by_sign_in(&newcomer, "bad").await.is_err());
    authority
        .enroll_by_sign_in(&newcomer, "good")
        .await
        .unwrap();
    let (_, attributes) = standing(&authority, &newcomer).await.unwrap();
    assert_eq!(attributes.get("email"), Some("e"));
    assert_eq!(attributes.get(ROLE), None);
}

/// An authority that was started with this admin.
async fn authority(admin: &Caller, okta: Option<Okta>) -> Authority<MemoryMembers> {
    let options = AuthorityOptions {
        okta,
        ..AuthorityOptions::new("p")
    };
    let pre_trusted = BTreeMap::from([(*admin.identifier(), enrolls())]);
    let (own, members) = (*history().identifier(), MemoryMembers::default());
    Authority::start(own, members, Arc::new(Nobody), pre_trusted, options)
        .await
        .unwrap()
}

/// What is stored of somebody.
async fn standing(
    authority: &Authority<MemoryMembers>,
    who: &Caller,
) -> Option<(Standing, MemberAttributes)> {
    let found = authority.members().member(who.identifier()).await.unwrap();
    found.map(|known| (known.member.standing, known.member.attributes))
}

fn enrolls() -> MemberAttributes {
    MemberAttributes::from_pairs([(ROLE, ENROLLER)]).unwrap()
}

fn caller() -> Caller {
    Caller {
        history: Arc::new(history()),
        source: None,
        channel: Address::from_static("channel"),
        administers_project: false,
    }
}

fn history() -> VerifiedHistory {
    let provider = ockam_vault::portable();
    let mut fill = |bytes: &mut [u8]| getrandom::fill(bytes).unwrap();
    let mut vault = SoftwareVault::new(provider);
    let key = vault
        .generate_signing_key(SigningKeyType::Ed25519, &mut fill)
        .unwrap();
    let public = vault.public_key(&key).unwrap();
    IdentityDraft::new(provider, public, Validity::of_primary_key(UnixTime(1)))
        .unwrap()
        .sign_with(provider, &vault, &key)
        .unwrap()
}

#[derive(Debug)]
struct Nobody;

impl Issuer for Nobody {
    fn issue<'a>(&'a self, _: Statement<'a>) -> IssueFuture<'a> {
        Box::pin(std::future::ready(Err(IssueError::KeyIsNewer)))
    }
}
