//! Bodies that strangers and controllers send (the same run as mutation tests of `ockam-control`).
#![no_main]

use ockam_control::controller::message::{
    AuthenticateOidcToken, CreateInvitation, CreateProject, CreateServiceInvitation, CreateSpace, InvitationList, Item,
    OktaConfig, Project, Space, decode_text,
};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    drop(AuthenticateOidcToken::decode(data));
    drop(CreateSpace::decode(data));
    drop(CreateProject::decode(data));
    drop(CreateInvitation::decode(data));
    drop(CreateServiceInvitation::decode(data));
    drop(OktaConfig::decode(data));
    drop(Vec::<Space>::decode(data));
    drop(Vec::<Project>::decode(data));
    drop(InvitationList::decode(data));
    drop(decode_text(data));
});
