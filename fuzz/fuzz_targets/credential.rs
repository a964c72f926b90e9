//! Credential bundles and attestations from anywhere.
#![no_main]

#[allow(dead_code, reason = "each target calls one of its functions")]
#[path = "../../crates/identity/tests/identity/arbitrary.rs"]
mod arbitrary;

libfuzzer_sys::fuzz_target!(|data: &[u8]| arbitrary::credential(data));
