//! Attributes: a name and a value, with `=` between.

use std::str::FromStr;

/// An attribute as users write it: `name=value`, parted at the first `=`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributeText {
    /// Its name; never empty.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// The text is no attribute.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an attribute: write a name, `=` and a value")]
pub struct AttributeTextError(String);

impl FromStr for AttributeText {
    type Err = AttributeTextError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok(Self {
                name: name.to_owned(),
                value: value.to_owned(),
            }),
            _ => Err(AttributeTextError(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_equals_sign_parts_name_and_value() {
        let parsed: AttributeText = "a=b=c".parse().expect("an attribute");
        assert_eq!((parsed.name.as_str(), parsed.value.as_str()), ("a", "b=c"));
        let parsed: AttributeText = "a=".parse().expect("an attribute");
        assert_eq!((parsed.name.as_str(), parsed.value.as_str()), ("a", ""));
    }

    #[test]
    fn a_name_without_a_value_and_a_value_without_a_name_are_refused() {
        for text in ["a", "", "=b"] {
            assert!(text.parse::<AttributeText>().is_err(), "{text}");
        }
    }
}
