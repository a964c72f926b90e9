//! What the credentials of an authority say, and who signs them.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use ockam_identity::{
    Attributes, CredentialBundle, MEMBER_SCHEMA, RESERVED_ATTRIBUTES, UnixTime, VerifiedHistory,
};

use crate::message::{MemberAttributes, RELAY, TLS_CERTIFICATE, TRUST_CONTEXT};

/// Signs credentials as the authority's identity. The keys are wherever they are: in a vault, with a remote signer.
pub trait Issuer: Send + Sync + fmt::Debug + 'static {
    /// Issues a credential that begins at exactly the given moment: a withdrawal that comes later must bear a later one.
    fn issue<'a>(&'a self, draft: Statement<'a>) -> IssueFuture<'a>;
}

/// What [`Issuer::issue`] gives.
pub type IssueFuture<'a> =
    Pin<Box<dyn Future<Output = Result<CredentialBundle, IssueError>> + Send + 'a>>;

/// What a credential is to say.
#[derive(Debug)]
pub struct Statement<'a> {
    /// Of whom; the credential names the latest change.
    pub subject: &'a VerifiedHistory,
    /// What.
    pub attributes: Attributes,
    /// From when on.
    pub created_at: UnixTime,
    /// Until when.
    pub expires_at: UnixTime,
}

/// No credential was issued.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The key that signs was made after the moment that the credential is to begin; asked again, it will do.
    #[error("the key that signs credentials is newer than the credential")]
    KeyIsNewer,
    /// It cannot be. Details are for the log of the authority alone.
    #[error("a credential cannot be issued")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Whether credentials name their project for readers of older generations. `spec: trust 7.5`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TrustContext {
    /// `trust_context_id` is the project's id.
    #[default]
    Named,
    /// It is left out.
    LeftOut,
}

/// The attributes of a credential. `spec: trust 7.5`
pub(crate) fn attributes(
    project: &str,
    trust_context: TrustContext,
    project_admin: bool,
    member: Option<&MemberAttributes>,
) -> Result<Attributes, ockam_identity::AttributesError> {
    let mut attributes = Attributes::new(MEMBER_SCHEMA);
    if trust_context == TrustContext::Named {
        attributes.insert(TRUST_CONTEXT.as_bytes(), project.as_bytes())?;
    }
    if project_admin {
        attributes.insert(RELAY.as_bytes(), b"*")?;
        attributes.insert(TLS_CERTIFICATE.as_bytes(), b"true")?;
    }
    for (name, value) in member.into_iter().flat_map(MemberAttributes::iter) {
        // spec: trust 11.2 (1). They are refused when a member is added; a row may be older than that rule.
        if !RESERVED_ATTRIBUTES.contains(&name) {
            attributes.insert(name.as_bytes(), value.as_bytes())?;
        }
    }
    Ok(attributes)
}

/// The authority's time, which never goes back: a credential that was issued before a withdrawal bears an earlier moment.
/// `spec: extensions 4.5`
#[derive(Clone)]
pub(crate) struct Clock {
    source: Arc<dyn Fn() -> UnixTime + Send + Sync>,
    latest: Arc<AtomicU64>,
}

impl Clock {
    pub(crate) fn new(source: Arc<dyn Fn() -> UnixTime + Send + Sync>) -> Self {
        Self {
            source,
            latest: Arc::new(AtomicU64::new(0)),
        }
    }

    pub(crate) fn now(&self) -> UnixTime {
        let now = (self.source)().0;
        UnixTime(now.max(self.latest.fetch_max(now, Ordering::AcqRel)))
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Clock").field(&self.latest).finish()
    }
}

/// The time of the system; before 1970 it is 1970.
pub(crate) fn system_time() -> UnixTime {
    UnixTime(
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{MAX_ATTRIBUTES, MAX_ATTRIBUTES_LEN};

    #[test]
    fn the_attributes_of_a_member_win_over_those_of_the_project() {
        let member =
            MemberAttributes::from_pairs([("trust_context_id", "own"), ("a", "b")]).unwrap();
        let attributes = attributes("p", TrustContext::Named, true, Some(&member)).unwrap();
        let entries: Vec<_> = attributes.text_entries().collect();
        assert_eq!(
            entries,
            [
                ("a", "b"),
                ("ockam-relay", "*"),
                ("ockam-tls-certificate", "true"),
                ("trust_context_id", "own"),
            ]
        );
        assert_eq!(attributes.schema(), 1);
    }

    #[test]
    fn nothing_is_said_of_whoever_has_no_attributes() {
        let none = attributes("p", TrustContext::LeftOut, false, None).unwrap();
        assert!(none.is_empty());
    }

    /// spec: trust 11.2 (1)
    #[test]
    fn reserved_names_of_an_older_row_are_left_out() {
        let member =
            MemberAttributes::from_pairs([("identifier", "I.."), ("has_credential", "true")])
                .unwrap();
        let attributes = attributes("p", TrustContext::LeftOut, false, Some(&member)).unwrap();
        assert!(attributes.is_empty());
    }

    #[test]
    fn whatever_a_member_may_have_fits_into_a_credential() {
        const { assert!(MAX_ATTRIBUTES + 3 <= ockam_identity::MAX_ATTRIBUTES) }
        const { assert!(MAX_ATTRIBUTES_LEN + 2048 <= ockam_identity::MAX_ATTRIBUTES_LEN) }
    }

    #[test]
    fn time_does_not_go_back() {
        let time = Arc::new(AtomicU64::new(10));
        let source = time.clone();
        let clock = Clock::new(Arc::new(move || UnixTime(source.load(Ordering::Relaxed))));
        assert_eq!(clock.now(), UnixTime(10));
        time.store(7, Ordering::Relaxed);
        assert_eq!(clock.now(), UnixTime(10));
        time.store(11, Ordering::Relaxed);
        assert_eq!(clock.now(), UnixTime(11));
    }
}
