//! A credential that is presented in one channel besides what its identity presents by itself.

use std::sync::Arc;

use ockam_channel::LocalIdentity;
use ockam_identity::CredentialBundle;
use ockam_node::{OwnIdentity, OwnIdentityFuture};
use tokio::sync::watch;

use crate::outcome::Failure;

/// An identity with one credential more, always the same (spec: trust 4.7).
#[derive(Debug)]
pub(crate) struct Presenting {
    own: Arc<dyn OwnIdentity>,
    credential: CredentialBundle,
}

impl Presenting {
    /// Adds the credential to what an identity presents.
    ///
    /// # Errors
    /// It is about another identity, so nobody would accept it, or it is none.
    pub(crate) async fn with(
        own: Arc<dyn OwnIdentity>,
        credential: CredentialBundle,
    ) -> Result<Arc<Self>, Failure> {
        let claims = credential.peek().map_err(|error| {
            Failure::new("Argument '--credential' is invalid").caused_by(&error)
        })?;
        let current = own
            .current()
            .await
            .map_err(|error| Failure::new(error.to_string()))?;
        let identifier = current.history.identifier();
        if claims.subject != *identifier {
            return Err(Failure::new(format!(
                "the credential is about {}, not about {identifier}, who opens the channel",
                claims.subject
            ))
            .help("name the identity it is about with --identity"));
        }
        Ok(Arc::new(Self { own, credential }))
    }
}

impl OwnIdentity for Presenting {
    fn current(&self) -> OwnIdentityFuture<'_> {
        Box::pin(async {
            let own = self.own.current().await?;
            let credentials = own.credentials.iter().chain([&self.credential]);
            Ok(Arc::new(LocalIdentity {
                credentials: credentials.cloned().collect(),
                ..own.as_ref().clone()
            }))
        })
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.own.changes()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ockam_identity::Attributes;
    use ockam_node::FixedIdentity;

    use super::*;
    use crate::home::{credentials, identities};
    use crate::state::State;

    async fn person(state: &State, name: &str) -> Arc<dyn OwnIdentity> {
        let spec = identities::IdentitySpec {
            name: Some(name.parse().expect("a name")),
            ..identities::IdentitySpec::default()
        };
        let made = identities::create(state, spec).await.expect("it is made");
        let local = identities::local(state, &made.into_record()).await;
        Arc::new(FixedIdentity(local.expect("it can act")))
    }

    #[tokio::test]
    async fn the_credential_is_presented_by_whom_it_is_about_and_by_nobody_else() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let state = State::open(&directory.path().join("home"), None)
            .await
            .expect("it opens");
        let (alice, bob) = (person(&state, "alice").await, person(&state, "bob").await);
        let history = alice.current().await.expect("it is there").history.clone();
        let issuer = *bob
            .current()
            .await
            .expect("it is there")
            .history
            .identifier();
        let attributes = Attributes::member([("component", "web")]).expect("one attribute");
        let minute = Duration::from_secs(60);
        let bundle = credentials::issue(&state, &issuer, &history, attributes, minute)
            .await
            .expect("it is issued");

        let presenting = Presenting::with(alice.clone(), bundle.clone())
            .await
            .expect("it is hers");
        let presented = presenting.current().await.expect("it is there");
        assert_eq!(
            presented.credentials.as_slice(),
            std::slice::from_ref(&bundle)
        );
        let plain = alice.current().await.expect("it is there");
        assert!(plain.credentials.is_empty());
        assert_eq!(presented.static_key.secret(), plain.static_key.secret());

        assert!(Presenting::with(bob.clone(), bundle).await.is_err());
        let none = CredentialBundle::decode(&[0x81, 0]).expect("one item");
        assert!(Presenting::with(bob, none).await.is_err());
    }
}
