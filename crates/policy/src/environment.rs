//! What a policy may ask about.

use alloc::collections::BTreeMap;
use alloc::string::String;

use crate::evaluate::Value;
use crate::resource::Action;

/// Attribute names that say what the node itself knows of a peer. No attribute of a credential is ever seen under them.
///
/// `spec: trust 11.2 (1)`
pub const RESERVED_ATTRIBUTES: [&str; 2] = ["identifier", "has_credential"];

/// The names that are bound while a policy is evaluated.
///
/// What the node says of a peer and what a credential says are kept apart, so the order in which they come makes no
/// difference: an attribute named like a built-in value is passed over.
///
/// `spec: trust 6.5`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    resource: String,
    action: Action,
    identifier: Option<String>,
    has_credential: Option<bool>,
    attributes: BTreeMap<String, String>,
}

impl Environment {
    /// For a message to this resource, of somebody who is not known.
    pub fn new(resource: impl Into<String>, action: Action) -> Self {
        Self {
            resource: resource.into(),
            action,
            identifier: None,
            has_credential: None,
            attributes: BTreeMap::new(),
        }
    }

    /// Binds `subject.identifier`.
    #[must_use]
    pub fn with_identifier(mut self, identifier: impl Into<String>) -> Self {
        self.identifier = Some(identifier.into());
        self
    }

    /// Binds `subject.has_credential`. Only a node with an authority does.
    #[must_use]
    pub const fn with_credential(mut self, credential: bool) -> Self {
        self.has_credential = Some(credential);
        self
    }

    /// Binds `subject.<name>` for an attribute of a credential, unless the name is a reserved one.
    #[must_use]
    pub fn with_attribute(mut self, name: &str, value: impl Into<String>) -> Self {
        if !RESERVED_ATTRIBUTES.contains(&name) {
            self.attributes.insert(name.into(), value.into());
        }
        self
    }

    /// Binds each of these attributes that is not a reserved one.
    #[must_use]
    pub fn with_attributes<'a>(
        self,
        attributes: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        attributes
            .into_iter()
            .fold(self, |environment, (name, value)| {
                environment.with_attribute(name, value)
            })
    }

    /// What a name is bound to.
    pub fn lookup(&self, name: &str) -> Option<Value> {
        let text = |text: &String| Value::Str(text.clone());
        match name {
            "resource.id" => Some(text(&self.resource)),
            "action.id" => Some(Value::Str(self.action.as_str().into())),
            "subject.identifier" => self.identifier.as_ref().map(text),
            "subject.has_credential" => self.has_credential.map(Value::Bool),
            _ => {
                let attribute = name.strip_prefix("subject.")?;
                self.attributes.get(attribute).map(text)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_never_take_the_place_of_what_the_node_says() {
        // spec: trust 11.2 (1): whichever comes first, and also when the node says nothing.
        let foreign = [
            ("identifier", "I00"),
            ("has_credential", "true"),
            ("a", "b"),
        ];
        let before = Environment::new("outlet", Action::HandleMessage)
            .with_attributes(foreign)
            .with_identifier("I11")
            .with_credential(false);
        let after = Environment::new("outlet", Action::HandleMessage)
            .with_identifier("I11")
            .with_credential(false)
            .with_attributes(foreign);
        assert_eq!(before, after);
        assert_eq!(
            after.lookup("subject.identifier"),
            Some(Value::Str("I11".into()))
        );
        assert_eq!(
            after.lookup("subject.has_credential"),
            Some(Value::Bool(false))
        );
        assert_eq!(after.lookup("subject.a"), Some(Value::Str("b".into())));

        let unknown = Environment::new("outlet", Action::HandleMessage).with_attributes(foreign);
        assert_eq!(unknown.lookup("subject.identifier"), None);
        assert_eq!(unknown.lookup("subject.has_credential"), None);
    }

    #[test]
    fn attributes_are_bound_below_the_subject_only() {
        let environment = Environment::new("outlet", Action::HandleMessage)
            .with_attribute("resource.id", "other")
            .with_attribute("subject.identifier", "I00");
        assert_eq!(
            environment.lookup("resource.id"),
            Some(Value::Str("outlet".into()))
        );
        assert_eq!(
            environment.lookup("action.id"),
            Some(Value::Str("handle_message".into()))
        );
        assert_eq!(environment.lookup("subject.identifier"), None);
        assert_eq!(environment.lookup("identifier"), None);
        assert_eq!(environment.lookup("resource.name"), None);
    }
}
