//! What expressions are worth, and why. `spec: trust 6.4`

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

use ockam_policy::{Action, Environment, Outcome, Part, Policy};

fn environment() -> Environment {
    Environment::new("database", Action::HandleMessage)
        .with_identifier("I11")
        .with_credential(true)
        .with_attributes([("component", "web"), ("level", "3"), ("suspended", "false")])
}

fn policy(text: &str) -> Policy {
    text.parse()
        .unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// The value or, behind a `!`, the error.
fn outcome(text: &str) -> String {
    match policy(text).evaluate(&environment()) {
        Ok(value) => value.to_string(),
        Err(error) => format!("! {error}"),
    }
}

#[track_caller]
fn check(cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        assert_eq!(&outcome(text), expected, "{text}");
    }
}

#[test]
fn and_and_or_stop_at_what_settles_them() {
    check(&[
        ("= 1 1", "true"),
        ("(and (= 1 1))", "true"),
        ("(and (= 1 2) (= subject.nothing 1))", "false"),
        ("(or (= 1 1) (= subject.nothing 1))", "true"),
        (
            "(and (= subject.nothing 1) (= 1 2))",
            "! unbound identifier: subject.nothing",
        ),
        ("(and 1 true)", "! `and` needs true or false, not 1"),
        ("(or \"x\" true)", "! `or` needs true or false, not \"x\""),
        // The last one is handed on as it is.
        ("(and true 1)", "1"),
        ("(or false \"x\")", "\"x\""),
        ("(not (and))", "! unbound identifier: subject.and"),
        ("(= true (and))", "true"),
        ("(= false (or))", "true"),
    ]);
}

#[test]
fn not_and_if_take_what_they_need() {
    check(&[
        ("(not (= 1 2))", "true"),
        ("(not 1)", "! `not` needs true or false, not 1"),
        ("(= true (not))", "! `not` takes one argument, not 0"),
        ("(not (= 1 1) (= 1 1))", "! `not` takes one argument, not 2"),
        ("(if (= 1 1) 2 subject.nothing)", "2"),
        ("(if (= 1 2) subject.nothing 3)", "3"),
        ("(if 1 2 3)", "! `if` needs true or false, not 1"),
        (
            "(if (= 1 1) 2)",
            "! `if` takes a test and two values, not 2",
        ),
    ]);
}

#[test]
fn comparisons_look_at_all_neighbours() {
    check(&[
        ("(= 1 1 1)", "true"),
        ("(= 1 1 2)", "false"),
        ("(= 1 2 \"x\")", "! 2 and \"x\" are not of the same type"),
        ("(= 1)", "! `=` takes at least two arguments, not 1"),
        ("(!= 1 2)", "true"),
        ("(!= 1)", "false"),
        ("(!=)", "false"),
        (
            "(!= subject.nothing)",
            "! unbound identifier: subject.nothing",
        ),
        ("(< 1 2 3)", "true"),
        ("(< 1 2 2)", "false"),
        ("(< 1)", "! `<` takes at least two arguments, not 1"),
        ("(> \"b\" \"a\")", "true"),
        ("(> true false)", "true"),
        ("(< [9 9] [1 1 1])", "true"),
        ("(< [1 2] [1 3])", "true"),
        ("(= [1] [\"a\" \"b\"])", "false"),
        ("(= [1] [\"a\"])", "! 1 and \"a\" are not of the same type"),
        ("(= 1.0 1)", "! 1.0 and 1 are not of the same type"),
        ("(= nan nan)", "false"),
        ("(< nan 1.0)", "false"),
        ("(< -inf 1.0 inf)", "true"),
        ("(= () ())", "! () cannot be compared"),
        (
            "(= subject.level 3)",
            "! \"3\" and 3 are not of the same type",
        ),
    ]);
}

#[test]
fn membership_and_existence_are_asked_of_sequences_and_names() {
    check(&[
        ("(member? subject.component [\"web\" \"api\"])", "true"),
        ("(member? subject.component [\"api\"])", "false"),
        ("(member? subject.component [])", "false"),
        (
            "(member? 1 [\"a\"])",
            "! 1 and \"a\" are not of the same type",
        ),
        (
            "(member? 1 2)",
            "! `member?` looks into a sequence, not into 2",
        ),
        (
            "(member? 1)",
            "! `member?` takes a value and a sequence, not 1",
        ),
        (
            "(member? \"web\" [subject.level subject.component])",
            "true",
        ),
        ("exists? subject.component subject.level", "true"),
        ("exists? subject.component subject.nothing", "false"),
        ("(exists?)", "true"),
        (
            "(exists? \"x\")",
            "! `exists?` is asked about names, not about \"x\"",
        ),
    ]);
}

#[test]
fn only_true_allows() {
    for text in [
        "component=web",
        "= resource.id \"database\"",
        "(if true true 1)",
    ] {
        assert!(policy(text).decide(&environment()).is_allowed(), "{text}");
    }
    for text in [
        "component=api",
        "()",
        "nothing",
        "(if true 1 true)",
        "(and true \"true\")",
        "(= 1 \"a\")",
        "exists?",
        "((= 1 1))",
        "(= 1 1) (= 1 1)",
        "(and (subject.component))",
    ] {
        assert!(!policy(text).decide(&environment()).is_allowed(), "{text}");
    }
}

#[test]
fn guard_11_2_14_a_missing_attribute_denies_unless_it_is_asked_for_first() {
    // spec: trust 11.2 (14)
    check(&[
        ("not banned", "! unbound identifier: subject.banned"),
        ("component=web or not banned", "true"),
        (
            "not banned or component=web",
            "! unbound identifier: subject.banned",
        ),
        (
            "(or (not (exists? subject.banned)) (!= subject.banned \"true\"))",
            "true",
        ),
        (
            "(or (not (exists? subject.suspended)) (!= subject.suspended \"true\"))",
            "true",
        ),
        (
            "(or (not (exists? subject.component)) (!= subject.component \"web\"))",
            "false",
        ),
    ]);
}

/// The parts in the order in which they are written, with their outcome; those that decide with a `*`.
fn drawn(text: &str) -> Vec<String> {
    fn draw(part: &Part<'_>, lines: &mut Vec<String>) {
        let outcome = match part.outcome() {
            Outcome::Value(value) => value.to_string(),
            Outcome::Error(error) => format!("! {error}"),
            Outcome::NotReached => "-".into(),
        };
        let mark = if part.decides() { "*" } else { "" };
        lines.push(format!("{mark}{} -> {outcome}", part.expr()));
        part.parts().iter().for_each(|part| draw(part, lines));
    }
    let policy = policy(text);
    let environment = environment();
    let mut lines = Vec::new();
    draw(policy.explain(&environment).whole(), &mut lines);
    lines
}

#[test]
fn the_first_part_that_settles_it_decides() {
    assert_eq!(
        drawn("component=api and level=3"),
        [
            "*(and (= subject.component \"api\") (= subject.level \"3\")) -> false",
            "*(= subject.component \"api\") -> false",
            "subject.component -> \"web\"",
            "\"api\" -> \"api\"",
            "(= subject.level \"3\") -> -",
        ]
    );
}

#[test]
fn an_error_inside_decides() {
    assert_eq!(
        drawn("(if (= 1 1) (not (= subject.x 1)) true)"),
        [
            "*(if (= 1 1) (not (= subject.x 1)) true) -> ! unbound identifier: subject.x",
            "(= 1 1) -> true",
            "1 -> 1",
            "1 -> 1",
            "*(not (= subject.x 1)) -> ! unbound identifier: subject.x",
            "*(= subject.x 1) -> ! unbound identifier: subject.x",
            "*subject.x -> ! unbound identifier: subject.x",
            "1 -> -",
            "true -> -",
        ]
    );
}

#[test]
fn what_was_passed_over_is_shown_where_it_stands() {
    assert_eq!(
        drawn("(if (exists? subject.x) 1 2)"),
        [
            "*(if (exists? subject.x) 1 2) -> 2",
            "(exists? subject.x) -> false",
            "1 -> -",
            "*2 -> 2",
        ]
    );
}

#[test]
fn several_parts_that_were_all_needed_decide_together() {
    let policy = policy("component=web and (level=3 or nothing)");
    let environment = environment();
    let explanation = policy.explain(&environment);
    assert!(explanation.is_allowed());
    assert_eq!(explanation.deciding().expr(), policy.expr());
    let used: Vec<_> = explanation
        .attributes()
        .iter()
        .map(|used| (used.name, used.value.as_ref().map(ToString::to_string)))
        .collect();
    assert_eq!(
        used,
        [
            ("subject.component", Some("\"web\"".to_owned())),
            ("subject.level", Some("\"3\"".to_owned())),
        ]
    );
}

#[test]
fn an_error_of_the_part_itself_is_not_laid_on_what_is_inside() {
    let policy = policy("(and subject.level (= 1 1))");
    let environment = environment();
    let explanation = policy.explain(&environment);
    assert_eq!(explanation.deciding().expr(), policy.expr());
}
