//! What texts are read as. `spec: trust 6.2, 6.3`

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

use ockam_policy::{BooleanError, BooleanExpr, DecodeError, MAX_BOOLEAN_LEN, ParseError, Policy};

fn full(text: &str) -> String {
    text.parse::<Policy>()
        .unwrap_or_else(|error| panic!("{text}: {error}"))
        .expr()
        .to_string()
}

fn error(text: &str) -> String {
    text.parse::<Policy>().unwrap_err().to_string()
}

#[test]
fn a_boolean_text_that_goes_on_names_both_halves() {
    for (text, head, tail) in [
        ("a = b", "a", " = b"),
        ("a b", "a", " b"),
        ("a and ", "a", " and "),
        ("a=b=c", "a=b", "=c"),
        ("a or b)", "a or b", ")"),
        ("x,y", "x", ",y"),
    ] {
        let expected = format!("successfully parsed: `{head}`, but `{tail}` cannot be parsed");
        assert!(error(text).contains(&expected), "{}", error(text));
    }
}

#[test]
fn what_is_in_neither_form_says_why_for_both() {
    for (text, why) in [
        ("", "the expression is empty"),
        ("   ", "the expression is empty"),
        ("(= 1 1", "a `)` is missing at the end"),
        ("(= 1 [1)", "`)` closes nothing"),
        ("(= 1 1))", "`)` closes nothing"),
        ("= \"a", "a text is not closed with `\"`"),
        (
            "(= 1 1) (; open (; nested ;)",
            "a comment is not closed with `;)`",
        ),
        (
            "(member? 1 [1 \"a\"])",
            "a sequence has values of one type, not a whole number beside a text",
        ),
        (
            "(= 1 9223372036854775808)",
            "`9223372036854775808` is not a number that can be used here",
        ),
        ("(= 1 1__0)", "invalid reserved token '1__0'"),
        ("(= 1 0x1.8)", "invalid reserved token '0x1.8'"),
        ("(= 1 -x)", "invalid reserved token '-x'"),
        ("(= 1 {a})", "invalid reserved token '{'"),
        ("(= \"\\q\" 1)", "a backslash stands before"),
        ("(= \"\\ff\" 1)", "a text is not UTF-8"),
        ("(= \"a\nb\" 1)", "a text holds a control character"),
        ("(= \"\\u{d800}\" 1)", "a backslash stands before"),
        ("(foo 1)", "`foo` must be an operation"),
        ("(() 1)", "the expression is empty"),
        ("(= a é)", "invalid reserved token 'é'"),
    ] {
        assert!(error(text).contains(why), "{text}: {}", error(text));
    }
}

#[test]
fn a_full_expression_that_prints_as_a_boolean_one_is_refused() {
    for (text, prints) in [
        ("( and )", "(and)"),
        (" (not true)", "(not true)"),
        ("$if", "if"),
    ] {
        let expected = format!("`{prints}` is read as a boolean expression");
        assert_eq!(error(text), expected);
        assert!(prints.parse::<Policy>().is_ok());
    }
}

#[test]
fn the_full_form_has_the_tokens_of_webassembly() {
    for (text, expected) in [
        ("(= -0x10 +7 0)", "(= -16 7 0)"),
        (
            "(= -9223372036854775808 0x7fff_ffff)",
            "(= -9223372036854775808 2147483647)",
        ),
        (
            "(= 1. 1e3 1_0.5_0E-2 +inf -inf nan -nan)",
            "(= 1.0 1000.0 0.105 +inf -inf nan nan)",
        ),
        (
            "(= \"\\t\\n\\r\\\"\\'\\\\\\u{e9}\\c3\\a9\" \"\")",
            "(= \"\\t\\n\\r\\\"'\\\\éé\" \"\")",
        ),
        ("(= a (; b (; c ;) ;) d) ;; e", "(= a d)"),
        (
            "(=\t$true $1 $$x a:b/c@d+e-f)",
            "(= $true $1 $$x a:b/c@d+e-f)",
        ),
        ("(= true false [])", "(= true false [])"),
        ("= [[1] [2]] (= 1 2)", "(= [[1] [2]] (= 1 2))"),
    ] {
        assert_eq!(full(text), expected, "{text}");
        assert_eq!(full(expected), expected);
    }
}

#[test]
fn parentheses_and_precedence_of_the_boolean_form() {
    for (text, expected) in [
        ("a or b and not c", "a or (b and (not c))"),
        ("(a)and(b)or(c)", "(a and b) or c"),
        ("a and b and c", "(a and b) and c"),
        ("not(a or b)", "not (a or b)"),
        ("not and", "not and"),
        ("not", "(not)"),
        ("not=x", "not=x"),
        ("a=\"x\"or b", "a=x or b"),
        ("a=\"not (b)\"", "a=\"not (b)\""),
        ("-a.b_c-1", "-a.b_c-1"),
        ("() or a", "() or a"),
        ("I1", "I1"),
    ] {
        let policy: Policy = text.parse().unwrap();
        assert_eq!(policy, expected.parse().unwrap(), "{text}");
        assert_eq!(policy, policy.to_string().parse().unwrap(), "{text}");
    }
}

#[test]
fn an_identifier_is_one_in_either_case() {
    let lower = format!("I{}", "ab".repeat(32));
    let upper = format!("I{}", "AB".repeat(32));
    let policy: Policy = upper.parse().unwrap();
    assert_eq!(policy.to_string(), lower);
    assert_eq!(
        policy.expr().to_string(),
        format!("(= subject.identifier \"{lower}\")")
    );
}

#[test]
fn guard_11_2_13_operators_need_a_boundary_where_people_write() {
    // spec: trust 11.2 (13): the published meaning stays for what is stored or sent, a person is asked what is meant.
    for (text, meant, name) in [
        ("notary", "not ary", "subject.notary"),
        ("a andb", "a and b", "subject.andb"),
        ("a orb=c", "a or b=c", "subject.orb"),
        ("not-x", "not -x", "subject.not-x"),
        ("notnot", "not not", "subject.notnot"),
    ] {
        assert_eq!(full(text), full(meant), "{text}");
        let error = Policy::careful(text).unwrap_err().to_string();
        assert!(error.contains(name), "{text}: {error}");
        assert!(Policy::careful(meant).is_ok(), "{meant}");
    }
    let error = Policy::careful("notary").unwrap_err();
    assert_eq!(
        error.to_string(),
        "`notary` is read as `not ary`; write that, or `(= subject.notary \"true\")` for an attribute of that name"
    );
    for text in ["nota", "not_a"] {
        assert!(matches!(
            Policy::careful(text),
            Err(ParseError::Ambiguous(_))
        ));
    }
    for text in [
        "android",
        "order",
        "a or order",
        "not1",
        "not.x",
        "not(a)",
        "a and(b)",
    ] {
        assert!(Policy::careful(text).is_ok(), "{text}");
    }
    // In the full form nothing touches.
    assert!(Policy::careful("(= subject.notary \"true\")").is_ok());
}

#[test]
fn guard_11_2_13_names_that_look_like_words_are_pointed_at() {
    // spec: trust 11.2 (13)
    for (text, told) in [
        ("true", "`true` is read as the attribute `true`"),
        ("(and)", "`and` is read as the attribute `and`"),
        ("not false", "`false` is read as the attribute `false`"),
        ("subject.a", "`subject.a` is read as `subject.subject.a`"),
    ] {
        let careful = Policy::careful(text).unwrap();
        assert_eq!(Ok(careful.policy), text.parse());
        let [caution] = careful.cautions.as_slice() else {
            panic!("{text}: {:?}", careful.cautions);
        };
        assert!(caution.to_string().contains(told), "{caution}");
    }
    assert_eq!(Policy::careful("a and true_x").unwrap().cautions, []);
    assert_eq!(Policy::careful("(= 1 1)").unwrap().cautions, []);
}

#[test]
fn nothing_can_be_nested_until_the_stack_ends() {
    for deep in [200, 10_000, 60_000] {
        for (open, inner, close) in [
            ("(", "a", ")"),
            ("not ", "a", ""),
            ("not(", "a", ")"),
            ("(= ", "1", ")"),
            ("(= [", "1", "])"),
            ("a or ", "a", ""),
            ("(;", "", ";)"),
        ] {
            let text = [open.repeat(deep), inner.into(), close.repeat(deep)].concat();
            assert!(text.parse::<Policy>().is_err(), "{open} {deep}");
        }
        for opening in [
            &[0x82, 7, 0x81, 0x81][..],
            &[0x9f, 7, 0x9f, 0x9f],
            &[0x82, 5, 0x81],
        ] {
            for kind in [0, 1] {
                let bytes = [&[0x82, kind, 0x81][..], &opening.repeat(deep / 4)].concat();
                assert!(Policy::decode(&bytes).is_err());
            }
        }
    }
}

#[test]
fn long_rows_and_long_texts_end_somewhere() {
    let row = |count: usize| vec!["a"; count].join(" or ");
    assert!(row(100).parse::<Policy>().is_ok());
    let careful = row(100).parse::<Policy>().unwrap();
    assert_eq!(
        full(&careful.expr().to_string()),
        careful.expr().to_string()
    );
    assert!(row(1000).parse::<Policy>().is_err());
    let long = format!("a=\"{}\"", "x".repeat(MAX_BOOLEAN_LEN));
    assert!(long.parse::<Policy>().is_err());
    let many = format!("(and {})", "true ".repeat(10_000));
    assert!(error(&many).contains("more than 8192 parts"));
}

#[test]
fn cbor_in_its_longer_forms_is_read_and_what_follows_is_not() {
    // spec: trust 0.2 (4): indefinite arrays, long integers, fields nobody knows.
    let policy: Policy = "a=b".parse().unwrap();
    for bytes in [
        "82018182018261616162",
        "9f01819f019f61616162ffffff",
        "8218018182180182616161 62",
        "82018282018361616162f6820102",
    ] {
        let bytes = hex::decode(bytes.replace(' ', "")).unwrap();
        assert_eq!(Policy::decode(&bytes), Ok(policy.clone()));
    }
    let behind = hex::decode("8201818201826161616200").unwrap();
    assert_eq!(Policy::decode(&behind), Err(DecodeError::TrailingBytes));
}

#[test]
fn cbor_that_no_text_could_say_is_refused() {
    let name = |name: &str| {
        let mut bytes = vec![
            0x82,
            1,
            0x81,
            0x82,
            0,
            0x81,
            0x60 + u8::try_from(name.len()).unwrap(),
        ];
        bytes.extend(name.bytes());
        Policy::decode(&bytes)
    };
    assert!(name("a").is_ok());
    for bad in ["", "notary", "a b", "1a", "é", "a=b"] {
        assert!(matches!(name(bad), Err(DecodeError::Invalid(_))), "{bad}");
    }
    for bad in [
        // `(and)` as a full expression, a mixed sequence, a name with a space, no operation at all
        "8200818207818182058163616e64",
        "820081820781838205813d82028101820681828202810182018161 61",
        "8200818207818282058161 3d82058163612062",
        "820081820281 01",
    ] {
        let bytes = hex::decode(bad.replace(' ', "")).unwrap();
        assert!(Policy::decode(&bytes).is_err(), "{bad}");
    }
}

#[test]
fn an_empty_policy_lets_nobody_in_and_has_a_text() {
    let policy = Policy::try_from(BooleanExpr::Empty).unwrap();
    assert_eq!(policy.to_string(), "()");
    assert_eq!("()".parse(), Ok(policy.clone()));
    assert_eq!(hex::encode(policy.encode()), "820181820680");
    assert_eq!(Policy::decode(&policy.encode()), Ok(policy));
}

#[test]
fn the_default_is_for_members() {
    assert_eq!(
        Policy::members().to_string(),
        "(= subject.has_credential true)"
    );
    assert_eq!(Ok(Policy::members()), Policy::members().to_string().parse());
}

#[test]
fn errors_of_the_boolean_form_can_be_told_apart() {
    let Err(ParseError::Neither { not_boolean, .. }) = "a==b".parse::<Policy>() else {
        panic!("in neither form");
    };
    assert_eq!(not_boolean, BooleanError::Value);
}
