//! Real trouble: the real program, real processes and real sockets, through inlet, relay and outlet with a secure channel
//! end to end, and with it the things that go wrong in the world.
//!
//! Every test is a [`trial::Trial`]: a temporary directory with a home for each user or machine it plays. What it started
//! ends with it, also after a failure, and then the logs of its nodes are shown.
//!
//! A test that needs a foreign program or root carries its name in its path (`needs_psql::..`, `needs_root::..`): without
//! it `./check` leaves the test out and counts it as skipped.
//!
//! `OCKAM_TEST_BINARY` names another program to test than the one that was built with the tests.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "this is a test program: a failed unwrap is a failed test, and what it prints is for the person at the terminal"
)]

#[path = "../../../portal/tests/portal/authority.rs"]
mod authority;
mod home;
mod portal;
#[path = "../../../store/tests/fixtures/postgres.rs"]
#[allow(dead_code, reason = "the tests of the store use more of it")]
mod postgres;
mod process;
#[path = "../../../../tests/oidc/provider.rs"]
mod provider;
mod published;
#[path = "../fixtures/published_home.rs"]
mod published_home;
mod quick_start;
mod traffic;
mod trial;
mod wire;

mod authorities;
mod away;
mod bulk;
mod controller;
mod crash;
mod crowd;
mod database;
mod demo;
mod enroll;
mod enrollment;
mod floods;
mod foreign;
mod garbage;
mod homes;
mod http;
mod loops;
mod malicious;
mod names;
mod nodes;
mod options;
mod orchestrator;
mod reload;
mod restart;
mod rotation;
mod routes;
mod second_user;
mod secrets;
mod sick_homes;
mod sign_in;
mod status;
mod targets;
mod tls;
