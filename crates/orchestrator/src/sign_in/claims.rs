//! What claims say, as attributes.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use ockam_authority::message::MemberAttributes;
use ockam_control::Email;
use ockam_control::sign_in::ClaimRule;
use serde_json::{Map, Value};

/// What a provider says of somebody.
pub(super) type Claims = Map<String, Value>;

/// There is more to say than a credential holds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the claims say more than a credential holds: name the values that count (--oidc-claim CLAIM=ATTRIBUTE:VALUE,VALUE)"
)]
pub(super) struct TooManyAttributes;

/// The attributes that these rules make of claims.
///
/// A list becomes one attribute with its values, joined by commas, and one for each value: a policy says `groups.dba`.
///
/// # Errors
/// They do not fit in a credential.
pub(super) fn attributes(
    rules: &[ClaimRule],
    claims: &Claims,
) -> Result<BTreeMap<String, String>, TooManyAttributes> {
    let mut attributes = BTreeMap::new();
    let mut put = |name: String, value: String| {
        // The first rule counts: a value cannot take the place of an attribute that a rule names.
        if let Entry::Vacant(free) = attributes.entry(name) {
            free.insert(value);
        }
    };
    // What rules name comes first, whatever their order.
    for rule in rules {
        if let Some(text) = find(claims, &rule.claim).and_then(|value| joined(rule, value)) {
            put(rule.attribute.clone(), text);
        }
    }
    for rule in rules {
        let Some(Value::Array(values)) = find(claims, &rule.claim) else {
            continue;
        };
        for value in values.iter().filter_map(|value| taken(rule, value)) {
            if is_name(&value) {
                put(format!("{}.{value}", rule.attribute), "true".to_owned());
            }
        }
    }
    MemberAttributes::from_pairs(attributes.clone())
        .map(|_fits| attributes)
        .map_err(|_| TooManyAttributes)
}

/// The address, if the provider says that it has verified it.
pub(super) fn verified_email(claims: &Claims) -> Option<String> {
    let is_verified = match claims.get("email_verified")? {
        Value::Bool(verified) => *verified,
        // Some providers write all claims as text.
        Value::String(text) => text == "true",
        _ => false,
    };
    let email = claims.get("email")?.as_str()?;
    (is_verified && email.parse::<Email>().is_ok()).then(|| email.to_owned())
}

/// Whether one of these claims is not among those that are known.
pub(super) fn lacks(rules: &[ClaimRule], claims: &Claims) -> bool {
    !claims.contains_key("email") || rules.iter().any(|rule| find(claims, &rule.claim).is_none())
}

/// A claim by its name, or by the names of those that it is inside of.
fn find<'a>(claims: &'a Claims, name: &str) -> Option<&'a Value> {
    if let Some(value) = claims.get(name) {
        return Some(value);
    }
    let (outer, inner) = name.split_once('.')?;
    find(claims.get(outer)?.as_object()?, inner)
}

/// The text of a claim, if it has one that counts.
fn joined(rule: &ClaimRule, value: &Value) -> Option<String> {
    let Value::Array(values) = value else {
        return taken(rule, value);
    };
    let texts: Vec<String> = values
        .iter()
        .filter_map(|value| taken(rule, value))
        // It would be read as two.
        .filter(|text| !text.contains(','))
        .collect();
    (!texts.is_empty()).then(|| texts.join(","))
}

/// The text of a single value, if the rule takes it.
fn taken(rule: &ClaimRule, value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => return None,
    };
    let counts = rule.values.is_empty() || rule.values.contains(&text);
    let is_text = !text.is_empty() && !text.chars().any(char::is_control);
    (counts && is_text).then_some(text)
}

/// Whether a policy can name an attribute that ends so. `spec: trust 6.2`
fn is_name(value: &str) -> bool {
    value
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn made(rules: &[&str], claims: Value) -> Result<BTreeMap<String, String>, TooManyAttributes> {
        let rules: Vec<ClaimRule> = rules.iter().map(|rule| rule.parse().expect(rule)).collect();
        attributes(&rules, claims.as_object().expect("claims"))
    }

    fn pairs(of: &[(&str, &str)]) -> BTreeMap<String, String> {
        of.iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn a_list_becomes_one_attribute_and_one_for_each_value() {
        assert_eq!(
            made(
                &["groups"],
                json!({"groups": ["dba", "db admins", "a,b", 7]})
            ),
            Ok(pairs(&[
                ("groups", "dba,db admins,7"),
                ("groups.dba", "true"),
                ("groups.7", "true"),
            ]))
        );
        assert_eq!(made(&["groups"], json!({"groups": []})), Ok(pairs(&[])));
        assert_eq!(
            made(&["groups"], json!({"groups": [{"a": 1}, null, ["x"]]})),
            Ok(pairs(&[]))
        );
    }

    #[test]
    fn what_is_named_alone_is_taken_over() {
        let claims = json!({
            "dept": "it", "level": 3, "staff": true, "ockam-role": "enroller",
            "realm_access": {"roles": ["dba", "ops"]}, "https://x.y/g": ["z"],
        });
        assert_eq!(
            made(
                &[
                    "dept=department",
                    "level",
                    "staff",
                    "realm_access.roles=roles:dba",
                    "https://x.y/g=g",
                    "absent"
                ],
                claims
            ),
            Ok(pairs(&[
                ("department", "it"),
                ("level", "3"),
                ("staff", "true"),
                ("roles", "dba"),
                ("roles.dba", "true"),
                ("g", "z"),
                ("g.z", "true"),
            ]))
        );
    }

    #[test]
    fn guard_11_2_18_a_value_takes_the_place_of_nothing_that_a_rule_names() {
        // Whoever may name groups at the provider names one like an attribute of another claim.
        let made = made(
            &["groups=dept", "level=dept.level"],
            json!({"groups": ["level"], "level": "1"}),
        );
        assert_eq!(made, Ok(pairs(&[("dept", "level"), ("dept.level", "1")])));
    }

    #[test]
    fn more_than_a_credential_holds_is_refused_unless_values_are_named() {
        let many: Vec<String> = (0..200).map(|n| format!("group-{n}")).collect();
        assert_eq!(
            made(&["groups"], json!({"groups": many})),
            Err(TooManyAttributes)
        );
        let named = made(&["groups=groups:group-7"], json!({"groups": many}));
        assert_eq!(
            named,
            Ok(pairs(&[("groups", "group-7"), ("groups.group-7", "true")]))
        );
    }

    #[test]
    fn an_address_counts_when_it_is_verified() {
        let email = |claims: Value| verified_email(claims.as_object().expect("claims"));
        assert_eq!(
            email(json!({"email": "a@b.c", "email_verified": true})).as_deref(),
            Some("a@b.c")
        );
        for claims in [
            json!({"email": "a@b.c"}),
            json!({"email": "a@b.c", "email_verified": false}),
            json!({"email": "a@b.c", "email_verified": "yes"}),
            json!({"email": "a/../b@b.c", "email_verified": true}),
            json!({"email": 7, "email_verified": true}),
            json!({"email_verified": true}),
        ] {
            assert_eq!(email(claims.clone()), None, "{claims}");
        }
    }
}
