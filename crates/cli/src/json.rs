//! JSON as the command prints it: keys sorted, two spaces of indentation or one line, colours when they are on.
//!
//! spec: command 3.2

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

use crate::colour::{Colours, Paint};

/// How many lines a value takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Two spaces per level.
    #[default]
    Pretty,
    /// One line.
    Compact,
}

/// Writes a value with its keys in alphabetical order.
pub(crate) fn render(value: &Value, layout: Layout, colours: Colours) -> String {
    let mut writer = Writer {
        text: String::new(),
        layout,
        colours,
    };
    writer.value(value, 0);
    writer.text
}

struct Writer {
    text: String,
    layout: Layout,
    colours: Colours,
}

impl Writer {
    fn value(&mut self, value: &Value, level: usize) {
        match value {
            Value::Object(map) if map.is_empty() => self.text.push_str("{}"),
            Value::Array(items) if items.is_empty() => self.text.push_str("[]"),
            Value::Object(map) => {
                self.text.push('{');
                // Not left to the map: its order depends on features other crates may switch on.
                let sorted: BTreeMap<&String, &Value> = map.iter().collect();
                for (index, (key, item)) in sorted.into_iter().enumerate() {
                    self.separate(index, level + 1);
                    let key = Value::String(key.clone()).to_string();
                    self.paint(Paint::Key, &key);
                    self.text.push(':');
                    if self.layout == Layout::Pretty {
                        self.text.push(' ');
                    }
                    self.value(item, level + 1);
                }
                self.line(level);
                self.text.push('}');
            }
            Value::Array(items) => {
                self.text.push('[');
                for (index, item) in items.iter().enumerate() {
                    self.separate(index, level + 1);
                    self.value(item, level + 1);
                }
                self.line(level);
                self.text.push(']');
            }
            Value::String(_) => self.paint(Paint::Text, &value.to_string()),
            Value::Number(_) | Value::Bool(_) => self.paint(Paint::Number, &value.to_string()),
            Value::Null => self.paint(Paint::Faint, "null"),
        }
    }

    fn separate(&mut self, index: usize, level: usize) {
        if index > 0 {
            self.text.push(',');
        }
        self.line(level);
    }

    fn line(&mut self, level: usize) {
        if self.layout == Layout::Pretty {
            self.text.push('\n');
            self.text.extend(std::iter::repeat_n("  ", level));
        }
    }

    fn paint(&mut self, paint: Paint, text: &str) {
        // Writing to a string cannot fail.
        let _ = write!(self.text, "{}", self.colours.paint(paint, text));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_are_sorted_at_every_level() {
        let value = json!({"b": [{"z": 1, "a": null}], "a": "x\"y", "e": {}, "f": []});
        assert_eq!(
            render(&value, Layout::Pretty, Colours::Off),
            "{\n  \"a\": \"x\\\"y\",\n  \"b\": [\n    {\n      \"a\": null,\n      \"z\": 1\n    }\n  ],\n  \"e\": {},\n  \"f\": []\n}"
        );
        assert_eq!(
            render(&value, Layout::Compact, Colours::Off),
            r#"{"a":"x\"y","b":[{"a":null,"z":1}],"e":{},"f":[]}"#
        );
    }

    #[test]
    fn colours_leave_the_text_as_it_is() {
        let coloured = render(&json!({"a": [1, true, "t"]}), Layout::Compact, Colours::On);
        assert!(coloured.contains('\x1b'));
        assert_eq!(crate::colour::strip(&coloured), r#"{"a":[1,true,"t"]}"#);
    }
}
