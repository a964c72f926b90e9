//! What an Orchestrator is told of its sign-in provider.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use ockam_authority::message::{MAX_ATTRIBUTE_NAME_LEN, PROJECT, RESERVED, ROLE, TRUST_CONTEXT};
use serde::{Deserialize, Serialize};

use crate::controller::message::SignInInfo;

/// A provider, how it knows the Orchestrator, and what is taken from it. There is no secret in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignInSettings {
    /// Its address, which every token names.
    pub issuer: String,
    /// The client that was registered there for the Orchestrator.
    pub client_id: String,
    /// The file with the secret of that client, where introspection asks for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret_file: Option<PathBuf>,
    /// Whom a token must be for; the client itself when nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// What clients ask for.
    #[serde(default = "default_scope")]
    pub scope: String,
    /// Which claims become attributes.
    #[serde(default)]
    pub claims: Vec<ClaimRule>,
    /// Who needs no invitation.
    #[serde(default)]
    pub admission: Admission,
    /// The file with certificates (PEM) that are trusted beside those of the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_file: Option<PathBuf>,
}

impl SignInSettings {
    /// Of a client at a provider; nothing is taken over, and nobody comes without an invitation.
    #[must_use]
    pub fn new(issuer: impl Into<String>, client_id: impl Into<String>) -> Self {
        Self {
            issuer: issuer.into(),
            client_id: client_id.into(),
            client_secret_file: None,
            audience: None,
            scope: default_scope(),
            claims: Vec::new(),
            admission: Admission::Nobody,
            certificate_file: None,
        }
    }
}

/// What the controller tells whoever wants to sign in.
impl From<&SignInSettings> for SignInInfo {
    fn from(settings: &SignInSettings) -> Self {
        Self {
            issuer: Some(settings.issuer.clone()),
            client_id: Some(settings.client_id.clone()),
            audience: settings.audience.clone(),
            scopes: Some(
                settings
                    .scope
                    .split_whitespace()
                    .map(str::to_owned)
                    .collect(),
            ),
        }
    }
}

/// What published clients ask for. `spec: trust 9.9`
pub(super) const SCOPE: &str = "profile openid email";

fn default_scope() -> String {
    SCOPE.to_owned()
}

/// Who becomes a user of the Orchestrator by signing in alone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Admission {
    /// Whoever was invited.
    #[default]
    Nobody,
    /// Whoever has a verified address in one of these domains.
    Domains(BTreeSet<String>),
    /// Whoever the provider lets sign in.
    Anyone,
}

impl Admission {
    /// Whether somebody with this verified address needs no invitation.
    #[must_use]
    pub fn admits(&self, verified_email: Option<&str>) -> bool {
        match self {
            Self::Nobody => false,
            Self::Anyone => true,
            Self::Domains(domains) => verified_email
                .and_then(|email| email.rsplit_once('@'))
                .is_some_and(|(_, domain)| domains.contains(&domain.to_lowercase())),
        }
    }
}

impl fmt::Display for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nobody => f.write_str("nobody"),
            Self::Anyone => f.write_str("anyone"),
            Self::Domains(domains) => {
                let domains: Vec<&str> = domains.iter().map(String::as_str).collect();
                f.write_str(&domains.join(","))
            }
        }
    }
}

/// It is none of the forms of [`Admission`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("say `nobody`, `anyone`, or domains such as `example.com,example.org`")]
pub struct AdmissionError;

impl FromStr for Admission {
    type Err = AdmissionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "nobody" => return Ok(Self::Nobody),
            "anyone" => return Ok(Self::Anyone),
            _ => {}
        }
        let domain = |domain: &str| {
            let domain = domain.trim().trim_start_matches('@').to_lowercase();
            // A single word is a slip for one of the two above.
            let valid = domain.contains('.')
                && domain.split('.').all(|label| {
                    !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || c == '-')
                });
            valid.then_some(domain).ok_or(AdmissionError)
        };
        text.split(',')
            .map(domain)
            .collect::<Result<_, _>>()
            .map(Self::Domains)
    }
}

/// A claim that becomes an attribute: `CLAIM[=ATTRIBUTE[:VALUE,..]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClaimRule {
    /// The claim; one inside another is named with a dot between them.
    pub claim: String,
    /// The attribute.
    pub attribute: String,
    /// The values that are taken over; all when there are none.
    pub values: BTreeSet<String>,
}

/// The text says not which claim becomes which attribute.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClaimRuleError {
    /// No attribute can be called so.
    #[error(
        "a claim is given as CLAIM, CLAIM=ATTRIBUTE or CLAIM=ATTRIBUTE:VALUE,VALUE; names of attributes have letters, digits, `_`, `-` and `.`"
    )]
    Form,
    /// The attribute gives rights that are not the provider's to give. `spec: trust 11.2 (18)`
    #[error("the attribute `{0}` cannot be taken from a sign-in provider")]
    Reserved(String),
}

impl FromStr for ClaimRule {
    type Err = ClaimRuleError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (claim, rest) = text.rsplit_once('=').unwrap_or((text, text));
        // The name of a claim may be an address; the list of values comes behind an attribute only.
        let (attribute, values) = match rest.split_once(':') {
            Some(parts) if text.contains('=') => parts,
            _ => (rest, ""),
        };
        let is_name = (1..=MAX_ATTRIBUTE_NAME_LEN / 2).contains(&attribute.len())
            && attribute.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && attribute.chars().all(is_name_character);
        if claim.is_empty() || claim.len() > MAX_CLAIM_LEN || !is_name {
            return Err(ClaimRuleError::Form);
        }
        let reserved = [ROLE, TRUST_CONTEXT, PROJECT].into_iter().chain(RESERVED);
        if reserved.into_iter().any(|reserved| reserved == attribute) {
            return Err(ClaimRuleError::Reserved(attribute.to_owned()));
        }
        let values = values
            .split(',')
            .map(str::trim)
            .filter(|value| !value.is_empty());
        Ok(Self {
            claim: claim.to_owned(),
            attribute: attribute.to_owned(),
            values: values.map(str::to_owned).collect(),
        })
    }
}

/// Whether a policy can name an attribute with this character. `spec: trust 6.2`
pub(crate) fn is_name_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
}

impl fmt::Display for ClaimRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.claim, self.attribute)?;
        let values: Vec<&str> = self.values.iter().map(String::as_str).collect();
        match values.is_empty() {
            true => Ok(()),
            false => write!(f, ":{}", values.join(",")),
        }
    }
}

impl TryFrom<String> for ClaimRule {
    type Error = ClaimRuleError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ClaimRule> for String {
    fn from(rule: ClaimRule) -> Self {
        rule.to_string()
    }
}

const MAX_CLAIM_LEN: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_read_as_it_is_written() {
        for (text, claim, attribute, values) in [
            ("groups", "groups", "groups", &[][..]),
            ("groups=team", "groups", "team", &[]),
            ("groups=team:dba, ops", "groups", "team", &["dba", "ops"]),
            (
                "https://example.com/groups=groups:dba",
                "https://example.com/groups",
                "groups",
                &["dba"],
            ),
            (
                "realm_access.roles=roles",
                "realm_access.roles",
                "roles",
                &[],
            ),
        ] {
            let rule: ClaimRule = text.parse().expect(text);
            assert_eq!(
                (rule.claim.as_str(), rule.attribute.as_str()),
                (claim, attribute),
                "{text}"
            );
            assert!(rule.values.iter().eq(values), "{text}");
            assert_eq!(rule.to_string().parse(), Ok(rule), "{text}");
        }
        for text in [
            "",
            "=",
            "a=",
            "=a",
            "a b",
            "a=1x",
            "https://example.com/groups",
            "a=b c",
        ] {
            assert_eq!(
                text.parse::<ClaimRule>(),
                Err(ClaimRuleError::Form),
                "{text}"
            );
        }
    }

    #[test]
    fn guard_11_2_18_no_claim_becomes_a_role_or_a_name_of_our_own() {
        for name in [
            "ockam-role",
            "trust_context_id",
            "project",
            "identifier",
            "has_credential",
        ] {
            for text in [
                name.to_owned(),
                format!("groups={name}"),
                format!("groups={name}:x"),
            ] {
                assert_eq!(
                    text.parse::<ClaimRule>(),
                    Err(ClaimRuleError::Reserved(name.to_owned())),
                    "{text}"
                );
            }
        }
    }

    #[test]
    fn domains_admit_those_with_a_verified_address_in_them_and_nobody_else() {
        let admission: Admission = "example.com,@Example.org".parse().expect("domains");
        for (email, admitted) in [
            (Some("a@example.com"), true),
            (Some("a@EXAMPLE.ORG"), true),
            (Some("a@sub.example.com"), false),
            (Some("a@example.com.evil.org"), false),
            (Some("example.com"), false),
            (None, false),
        ] {
            assert_eq!(admission.admits(email), admitted, "{email:?}");
        }
        assert!(!Admission::default().admits(Some("a@example.com")));
        assert!(Admission::Anyone.admits(None));
        for slip in ["", "everyone", "example.com,", "a..b", "*.com"] {
            assert_eq!(slip.parse::<Admission>(), Err(AdmissionError), "{slip}");
        }
    }
}
