//! Credentials of accounts and of administrators of projects. `spec: trust 9.2`

use std::time::Duration;

use ockam_authority::message::PROJECT;
use ockam_authority::{IssueError, Statement};
use ockam_identity::{Attributes, MEMBER_SCHEMA};
use zeroize::Zeroizing;

use super::Controller;
use super::requests::{Asked, Done, Refused};

impl Controller {
    pub(super) async fn account_credential(&self, asked: &Asked<'_>) -> Result<Done, Refused> {
        let account = asked.granted.account()?.id.clone();
        self.credential(asked, ACCOUNT, &account).await
    }

    pub(super) async fn project_credential(&self, asked: &Asked<'_>) -> Result<Done, Refused> {
        let project = asked.granted.project()?.id.clone();
        let done = self.credential(asked, PROJECT, &project).await?;
        // Nobody has it before this is noted.
        let entry = asked.entry(self, &format!("project {project}"));
        self.audit.note(&entry).await?;
        Ok(done.noted())
    }

    async fn credential(
        &self,
        asked: &Asked<'_>,
        name: &str,
        value: &str,
    ) -> Result<Done, Refused> {
        let failed = |error: Box<dyn std::error::Error + Send + Sync>| Refused::Failed(error);
        for _ in 0..2 {
            let mut attributes = Attributes::new(MEMBER_SCHEMA);
            attributes
                .insert(name.as_bytes(), value.as_bytes())
                .map_err(|error| failed(Box::new(error)))?;
            let now = self.options.source.now();
            let statement = Statement {
                subject: &asked.caller.history,
                attributes,
                created_at: now,
                expires_at: now.plus(self.options.credential_lifetime),
            };
            match self.options.issuer.issue(statement).await {
                Ok(bundle) => {
                    let mut done = Done::nothing();
                    done.body = Some(Zeroizing::new(bundle.as_bytes().to_vec()));
                    return Ok(done);
                }
                // Times are whole seconds: in the next one the key is no newer.
                Err(IssueError::KeyIsNewer) => tokio::time::sleep(Duration::from_secs(1)).await,
                Err(IssueError::Failed(error)) => return Err(failed(error)),
            }
        }
        Err(Refused::Unavailable(
            "a credential cannot be issued now, try again",
        ))
    }
}

/// The attribute that names an account.
const ACCOUNT: &str = "account";
/// How long a credential holds if nothing is said, in seconds.
pub(super) const LIFETIME: u64 = 24 * 3600;
