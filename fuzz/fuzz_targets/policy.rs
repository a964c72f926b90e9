//! Policies from anywhere: as text, and as CBOR.
#![no_main]

use ockam_policy::{Action, Environment, Policy, Value};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(text) = core::str::from_utf8(data)
        && let Ok(policy) = text.parse::<Policy>()
    {
        survives(&policy);
        if let Ok(careful) = Policy::careful(text) {
            assert_eq!(careful.policy, policy);
        }
    }
    if let Ok(policy) = Policy::decode(data) {
        survives(&policy);
    }
});

/// What was read is written so that it reads the same, and is decided.
fn survives(policy: &Policy) {
    let again = policy.to_string().parse::<Policy>();
    assert_eq!(again.as_ref().map(Policy::expr), Ok(policy.expr()));
    assert_eq!(Policy::decode(&policy.encode()).as_ref(), Ok(policy));
    let environment = Environment::new("outlet", Action::HandleMessage).with_credential(true);
    let decision = policy.decide(&environment);
    let is_true = matches!(policy.evaluate(&environment), Ok(Value::Bool(true)));
    assert_eq!(decision.is_allowed(), is_true);
    let _ = policy.explain(&environment);
}
