//! What holds for every text, every byte string and every policy. `PROPTEST_CASES` makes it long.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

use ockam_policy::{
    Action, BooleanExpr, Environment, Expr, Form, MAX_LEN, Policy, RESERVED_ATTRIBUTES, Value,
};
use proptest::collection::vec;
use proptest::prelude::*;

/// Texts that are nearly policies.
fn texts() -> impl Strategy<Value = String> {
    let words = [
        "a",
        "b=c",
        "and",
        "or",
        "not",
        "if",
        "(",
        ")",
        "[",
        "]",
        "=",
        "!=",
        "<",
        ">",
        "member?",
        "exists?",
        "true",
        "false",
        "subject.a",
        "subject.has_credential",
        "\"x\"",
        "\"",
        "\\",
        "1",
        "-7",
        "0x1f",
        "1.5",
        "nan",
        "inf",
        ";;",
        "(;",
        ";)",
        "$",
        "$x",
        "\n",
        "é",
        "notary",
        "()",
        ",",
        "1_000",
        "=b",
        ".",
    ];
    let words = vec(prop::sample::select(words.to_vec()), 0..24);
    let spaces = prop::sample::select(vec!["", " ", "  "]);
    prop_oneof![
        (words, spaces).prop_map(|(words, space)| words.join(space)),
        any::<String>(),
        "[a-z()\" =]{0,40}",
    ]
}

fn exprs() -> impl Strategy<Value = Expr> {
    let names = prop::sample::select(vec![
        "subject.a",
        "subject.b",
        "subject.c",
        "subject.has_credential",
        "resource.id",
        "x",
        "true",
        "1",
        "$a",
        "nan",
        "-",
        "and",
        "a:b@c",
    ]);
    let leaf = prop_oneof![
        names.prop_map(|name| Expr::Ident(name.parse().unwrap())),
        any::<String>().prop_map(Expr::Str),
        "[ab]".prop_map(Expr::Str),
        any::<i64>().prop_map(Expr::Int),
        (0_i64..3).prop_map(Expr::Int),
        any::<f64>().prop_map(Expr::Float),
        any::<bool>().prop_map(Expr::Bool),
    ];
    leaf.prop_recursive(6, 48, 5, |inner| {
        let operators = prop::sample::select(vec![
            "and", "or", "not", "if", "<", ">", "=", "!=", "member?", "exists?", "what",
        ]);
        let seq =
            (inner.clone(), 0_usize..4).prop_map(|(item, count)| Expr::Seq(vec![item; count]));
        prop_oneof![
            4 => (operators, vec(inner.clone(), 0..4)).prop_map(|(operator, arguments)| {
                let mut items = vec![Expr::Ident(operator.parse().unwrap())];
                items.extend(arguments);
                Expr::List(items)
            }),
            1 => seq,
            1 => vec(inner, 0..4).prop_map(Expr::List),
        ]
    })
}

fn booleans() -> impl Strategy<Value = BooleanExpr> {
    let names = prop::sample::select(vec![
        "a", "b", "c", "not", "and", "or", "true", "-x", "order",
    ]);
    let values = prop_oneof!["[a-c]", "[^\"]{1,8}"];
    let leaf = prop_oneof![
        4 => names.clone().prop_map(|name| BooleanExpr::Name(name.parse().unwrap())),
        4 => (names, values).prop_map(|(name, value)| {
            BooleanExpr::NameValue(name.parse().unwrap(), value.parse().unwrap())
        }),
        1 => Just(BooleanExpr::Identifier(identifier().parse().unwrap())),
        1 => Just(BooleanExpr::Empty),
    ];
    leaf.prop_recursive(6, 32, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone())
                .prop_map(|(left, right)| BooleanExpr::Or(Box::new(left), Box::new(right))),
            (inner.clone(), inner.clone())
                .prop_map(|(left, right)| BooleanExpr::And(Box::new(left), Box::new(right))),
            inner.prop_map(|inner| BooleanExpr::Not(Box::new(inner))),
        ]
    })
}

fn identifier() -> String {
    format!("I{}", "1f".repeat(32))
}

fn environments() -> impl Strategy<Value = Environment> {
    let attribute = (
        prop::sample::select(vec!["a", "b", "c", "not", "identifier", "has_credential"]),
        prop::sample::select(vec!["true", "a", "b", ""]),
    );
    (vec(attribute, 0..5), any::<Option<bool>>(), any::<bool>()).prop_map(
        |(attributes, credential, known)| {
            let mut environment =
                Environment::new("db", Action::HandleMessage).with_attributes(attributes);
            if known {
                environment = environment.with_identifier(identifier());
            }
            if let Some(credential) = credential {
                environment = environment.with_credential(credential);
            }
            environment
        },
    )
}

/// A second opinion of what a boolean expression means: nothing where it is an error.
fn opinion(expr: &BooleanExpr, environment: &Environment) -> Option<Value> {
    let is = |name: &str, value: &str| {
        let found = environment.lookup(&format!("subject.{name}"))?;
        Some(Value::Bool(found == Value::Str(value.into())))
    };
    let truth = |value: Option<Value>| match value {
        Some(Value::Bool(truth)) => Some(truth),
        _ => None,
    };
    match expr {
        BooleanExpr::Name(name) => is(name.as_str(), "true"),
        BooleanExpr::NameValue(name, value) => match name.as_str() {
            // The one attribute that is no text.
            "has_credential" => None,
            name => is(name, value.as_str()),
        },
        BooleanExpr::Identifier(identifier) => is("identifier", identifier.as_str()),
        BooleanExpr::Or(left, right) => match truth(opinion(left, environment))? {
            true => Some(Value::Bool(true)),
            false => opinion(right, environment),
        },
        BooleanExpr::And(left, right) => match truth(opinion(left, environment))? {
            true => opinion(right, environment),
            false => Some(Value::Bool(false)),
        },
        BooleanExpr::Not(inner) => {
            truth(opinion(inner, environment)).map(|truth| Value::Bool(!truth))
        }
        BooleanExpr::Empty => Some(Value::Nothing),
    }
}

/// What has to hold for whatever is a policy.
fn check(policy: &Policy, environment: &Environment) {
    let text = policy.to_string();
    assert_eq!(text.parse::<Policy>().as_ref(), Ok(policy), "{text}");
    assert_eq!(
        Policy::decode(&policy.encode()).as_ref(),
        Ok(policy),
        "{text}"
    );

    let decision = policy.decide(environment);
    let explanation = policy.explain(environment);
    assert_eq!(explanation.is_allowed(), decision.is_allowed(), "{text}");
    assert!(explanation.deciding().decides());
    for used in explanation.attributes() {
        assert!(text.contains(used.name) || matches!(policy.form(), Form::Boolean(_)));
        // `nan` is not equal to itself, but no attribute is one.
        assert_eq!(used.value, environment.lookup(used.name));
    }
}

proptest! {
    #[test]
    fn any_text_is_a_policy_that_survives_or_an_error(text in texts(), environment in environments()) {
        if let Ok(policy) = text.parse::<Policy>() {
            check(&policy, &environment);
            if let Ok(careful) = Policy::careful(&text) {
                prop_assert_eq!(careful.policy, policy);
            }
        } else {
            prop_assert!(Policy::careful(&text).is_err());
        }
    }

    #[test]
    fn any_full_expression_survives_text_and_cbor(expr in exprs(), environment in environments()) {
        if let Ok(policy) = Policy::try_from(expr) {
            check(&policy, &environment);
        }
    }

    #[test]
    fn a_boolean_expression_means_what_its_full_form_means(
        expr in booleans(),
        environment in environments(),
    ) {
        let policy = Policy::try_from(expr.clone()).unwrap();
        check(&policy, &environment);
        prop_assert_eq!(policy.evaluate(&environment).ok(), opinion(&expr, &environment));
        // Some full forms are themselves texts of the boolean form, such as `()`.
        if let Ok(full) = Policy::try_from(policy.expr().clone()) {
            let read: Policy = full.to_string().parse().unwrap();
            prop_assert_eq!(read.form(), &Form::Full);
            let (a, b) = (read.evaluate(&environment), policy.evaluate(&environment));
            prop_assert_eq!(a, b);
        }
    }

    #[test]
    fn any_bytes_are_a_policy_that_survives_or_an_error(
        bytes in vec(any::<u8>(), 0..200),
        environment in environments(),
    ) {
        if let Ok(policy) = Policy::decode(&bytes) {
            check(&policy, &environment);
        }
    }

    #[test]
    fn damaged_cbor_is_a_policy_that_survives_or_an_error(
        policy in prop_oneof![
            booleans().prop_map(|expr| Policy::try_from(expr).unwrap()),
            exprs().prop_filter_map("no policy", |expr| Policy::try_from(expr).ok()),
        ],
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
        environment in environments(),
    ) {
        let mut bytes = policy.encode();
        let whole = bytes.clone();
        for (index, byte) in damage {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        if let Ok(policy) = Policy::decode(&bytes) {
            check(&policy, &environment);
        }
        prop_assert!(Policy::decode(&whole[..cut.index(whole.len())]).is_err());
    }

    #[test]
    fn reserved_attributes_change_no_decision(
        expr in prop_oneof![
            booleans().prop_map(|expr| Policy::try_from(expr).unwrap()),
            exprs().prop_filter_map("no policy", |expr| Policy::try_from(expr).ok()),
        ],
        environment in environments(),
        name in prop::sample::select(RESERVED_ATTRIBUTES.to_vec()),
        value in any::<String>(),
    ) {
        // spec: trust 11.2 (1)
        let more = environment.clone().with_attribute(name, value);
        prop_assert_eq!(
            expr.decide(&environment).is_allowed(),
            expr.decide(&more).is_allowed()
        );
    }

    #[test]
    fn what_is_too_long_is_refused(filler in "[a-z ()]", more in 1_usize..100) {
        let text = filler.repeat(MAX_LEN + more);
        prop_assert!(text.parse::<Policy>().is_err());
        prop_assert!(Policy::decode(text.as_bytes()).is_err());
    }
}
