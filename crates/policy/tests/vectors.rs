//! Every entry of `vectors/abac.json`. `spec: trust 6`

#![expect(clippy::unwrap_used, reason = "in helpers of tests")]

use ockam_policy::{Action, Environment, Policy, ResourceType, Value};
use serde_json::Value as Json;

fn vectors() -> Json {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../vectors/abac.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn entries(vectors: &Json, name: &str, at_least: usize) -> Vec<Json> {
    let entries = vectors[name].as_array().unwrap().clone();
    assert!(entries.len() >= at_least, "{name}");
    entries
}

/// The environment of the vectors: a member with `a=true`.
fn environment() -> Environment {
    Environment::new("outlet", Action::HandleMessage)
        .with_credential(true)
        .with_attribute("a", "true")
}

/// The outcome as the vectors write it.
fn outcome(policy: &Policy) -> String {
    match policy.evaluate(&environment()) {
        Ok(value) => format!("Ok({:?})", value.to_string()),
        Err(error) => format!("Err({:?})", error.to_string()),
    }
}

#[test]
fn texts_print_encode_and_evaluate_as_published() {
    for case in entries(&vectors(), "cases", 18) {
        let text = case["text"].as_str().unwrap();
        if let Some(error) = case["error"].as_str() {
            assert_eq!(text.parse::<Policy>().unwrap_err().to_string(), error);
            continue;
        }
        let policy: Policy = text.parse().unwrap();
        assert_eq!(policy.to_string(), case["display"], "{text}");
        assert_eq!(policy.expr().to_string(), case["expr"], "{text}");
        assert_eq!(outcome(&policy), case["eval"], "{text}");

        let cbor = hex::decode(case["policy_expression_cbor"].as_str().unwrap()).unwrap();
        assert_eq!(hex::encode(policy.encode()), hex::encode(&cbor), "{text}");
        assert_eq!(Policy::decode(&cbor).unwrap(), policy, "{text}");

        let full: Policy = policy.expr().clone().try_into().unwrap();
        let cbor = format!("820081{}", case["expr_cbor"].as_str().unwrap());
        assert_eq!(hex::encode(full.encode()), cbor, "{text}");
        assert_eq!(outcome(&full), case["eval"], "{text}");
    }
}

#[test]
fn texts_are_read_as_published() {
    for case in entries(&vectors(), "parse_cases", 17) {
        let text = case["text"].as_str().unwrap();
        let policy = text.parse::<Policy>();
        if case["error"] == true {
            assert!(policy.is_err(), "{text:?}");
            continue;
        }
        let policy = policy.unwrap();
        assert_eq!(policy.expr().to_string(), case["expr"], "{text}");
        if let Some(value) = case["eval"].as_str() {
            let found = policy.evaluate(&environment()).unwrap();
            assert_eq!(found.to_string(), value, "{text}");
        }
    }
}

#[test]
fn built_in_values_are_never_replaced_unlike_as_published() {
    // spec: trust 11.2 (1): the vectors show the weakness, so two of their results are the other way round here.
    let identifier = format!("I{}", "00".repeat(32));
    let cases = entries(&vectors()["attribute_name_override"], "cases", 4);
    for case in cases {
        let [attribute, expression, published] =
            [0, 1, 2].map(|index| case[index].as_str().unwrap());
        let environment = Environment::new("outlet", Action::HandleMessage)
            .with_identifier(identifier.clone())
            .with_credential(true)
            .with_attribute(attribute, "x");
        let policy: Policy = expression.parse().unwrap();
        let allowed = policy.decide(&environment).is_allowed();
        match attribute {
            "identifier" | "has_credential" => assert!(!allowed, "{expression}"),
            "dept" => {
                assert_eq!(published, "Ok(true)");
                assert!(allowed, "{expression}");
            }
            // An attribute whose own name begins with `subject.` is found where it says.
            _ => assert_eq!(
                policy.evaluate(&environment),
                Ok(Value::Bool(true)),
                "{expression}"
            ),
        }
    }
}

#[test]
fn resource_types_have_the_published_indexes() {
    let vectors = vectors();
    let types = vectors["resource_types"].as_object().unwrap();
    assert!(!types.is_empty());
    for (name, index) in types {
        let kind: ResourceType = name.parse().unwrap();
        assert_eq!(format!("{:02x}", kind.index()), index.as_str().unwrap());
    }
}
