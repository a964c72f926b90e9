//! From the bytes of a request to the bytes of its answer: who asks, whether they may, statuses, the audit log.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ockam_control::controller::message::Item;
use ockam_identity::{Identifier, VerifiedHistory};
use ockam_store::{NewAudit, StoreError};
use ockam_wire::DecodeError;
use ockam_wire::envelope::{ErrorBody, MessageId, Request, Response, Status};
use zeroize::Zeroizing;

use super::operations::{Act, Operation, Service, find};
use super::rights::Granted;
use super::{Controller, HostingError, Source};
use crate::controller::operations::Named;

/// Who asks.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Whom the channel ends at.
    pub history: Arc<VerifiedHistory>,
    /// From where, if that is known.
    pub source: Option<ockam_node::Source>,
}

impl Caller {
    /// Who it is.
    #[must_use]
    pub fn identifier(&self) -> &Identifier {
        self.history.identifier()
    }
}

/// Why something is not done.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error("secure channel required")]
    NoChannel,
    #[error("unknown path")]
    UnknownPath,
    #[error("not enrolled")]
    NotEnrolled,
    #[error("{0}")]
    Forbidden(&'static str),
    #[error("not found")]
    NotFound,
    #[error("malformed body: {0}")]
    Malformed(#[from] DecodeError),
    #[error("{0}")]
    Unusable(String),
    #[error("{0}")]
    Conflict(&'static str),
    #[error("too many requests, try again later")]
    TooMany,
    #[error("{0}")]
    NotOffered(&'static str),
    #[error("there is more than one message holds: ask for pages")]
    TooLong,
    #[error(
        "the account is the last administrator of the space {name}: give the space another one first, with ockam space-admin add EMAIL {id}"
    )]
    LastOfSpace { id: String, name: String },
    #[error("{0}")]
    Unavailable(&'static str),
    /// Nothing was done. Details are for the log alone.
    #[error("the database of the Orchestrator is away or full: try again later")]
    Away(#[source] StoreError),
    /// Details are for the log alone.
    #[error("it is not known whether this was done: look, and try again")]
    Unconfirmed(#[source] StoreError),
    /// Details are for the log alone.
    #[error("internal error")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Refused {
    const fn status(&self) -> Status {
        match self {
            Self::NoChannel | Self::UnknownPath | Self::Malformed(_) | Self::Unusable(_) => {
                Status::BadRequest
            }
            Self::NotEnrolled | Self::Forbidden(_) => Status::Forbidden,
            Self::NotFound => Status::NotFound,
            Self::Conflict(_) | Self::LastOfSpace { .. } | Self::TooMany => Status::Conflict,
            Self::NotOffered(_) => Status::NotImplemented,
            Self::TooLong
            | Self::Unavailable(_)
            | Self::Away(_)
            | Self::Unconfirmed(_)
            | Self::Failed(_) => Status::InternalServerError,
        }
    }
}

impl Refused {
    /// What it is counted as.
    const fn reason(&self) -> &'static str {
        match self {
            Self::NoChannel => "no_channel",
            Self::UnknownPath => "unknown_path",
            Self::NotEnrolled => "not_enrolled",
            Self::Forbidden(_) => "forbidden",
            Self::NotFound => "not_found",
            Self::Malformed(_) => "malformed",
            Self::Unusable(_) => "unusable",
            Self::Conflict(_) | Self::LastOfSpace { .. } => "conflict",
            Self::TooMany => "too_many",
            Self::NotOffered(_) => "not_offered",
            Self::TooLong => "too_long",
            Self::Unavailable(_) => "unavailable",
            Self::Away(_) => "database_away",
            Self::Unconfirmed(_) => "unconfirmed",
            Self::Failed(_) => "failed",
        }
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unconfirmed(_) => Self::Unconfirmed(error),
            error if error.is_passing() => Self::Away(error),
            error => Self::Failed(Box::new(error)),
        }
    }
}

impl From<HostingError> for Refused {
    fn from(error: HostingError) -> Self {
        match error {
            HostingError::NotOffered(why) => Self::NotOffered(why),
            HostingError::Unusable(why) => Self::Unusable(why),
            HostingError::Store(error) => error.into(),
            HostingError::Failed(error) => Self::Failed(error),
        }
    }
}

/// What was done.
#[derive(Default)]
pub(super) struct Done {
    pub(super) body: Option<Zeroizing<Vec<u8>>>,
    /// Whether the audit log has it, from the transaction that did it.
    is_noted: bool,
}

impl Done {
    pub(super) fn with(body: &impl Item) -> Self {
        Self {
            body: Some(body.encode()),
            is_noted: false,
        }
    }

    /// Nothing to tell.
    pub(super) fn nothing() -> Self {
        Self::default()
    }

    /// The audit log has it.
    pub(super) fn noted(mut self) -> Self {
        self.is_noted = true;
        self
    }
}

/// One request that may be done.
pub(super) struct Asked<'a> {
    pub(super) caller: &'a Caller,
    pub(super) granted: &'a Granted,
    pub(super) named: &'a Named<'a>,
    pub(super) body: &'a [u8],
    /// How the audit log calls it.
    action: &'static str,
}

impl Asked<'_> {
    /// The body, as what it should be.
    pub(super) fn read<T: Item>(&self) -> Result<T, Refused> {
        Ok(T::decode(self.body)?)
    }

    /// What the audit log says of it, written in the transaction that does it.
    pub(super) fn entry(&self, controller: &Controller, object: &str) -> NewAudit {
        self.entry_with(controller, object, DONE)
    }

    /// The same of something that ends otherwise.
    pub(super) fn entry_with(
        &self,
        controller: &Controller,
        object: &str,
        outcome: &str,
    ) -> NewAudit {
        let who = self.caller.identifier().to_string();
        controller.audit.entry(&who, self.action, object, outcome)
    }
}

impl Controller {
    /// Does what a message asks of a service. Nothing goes back for a message that is no request. Without a caller nothing
    /// is done.
    pub async fn answer(
        &self,
        service: Service,
        caller: Option<&Caller>,
        message: &[u8],
    ) -> Option<Zeroizing<Vec<u8>>> {
        let (request, body) = match Request::decode(message) {
            Ok(decoded) => decoded,
            Err(error) => {
                tracing::debug!(service = service.address(), "no request: {error}");
                return None;
            }
        };
        self.requests.fetch_add(1, Ordering::Relaxed);
        let done = match caller {
            None => Err(Refused::NoChannel),
            Some(caller) => {
                Box::pin(self.done(service, caller, &request, body.unwrap_or_default())).await
            }
        };
        let (status, body) = match done {
            Ok(done) => (Status::Ok, done.body),
            Err(refused) => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                self.note_refused(&refused);
                log(service, caller, &request, &refused);
                let body = ErrorBody::new(&request, refused.to_string()).encode();
                (refused.status(), Some(Zeroizing::new(body)))
            }
        };
        self.options
            .metrics
            .note_request(service.address(), status.code());
        let response = Response::new(number(&*self.options.source), request.id, status);
        Some(Zeroizing::new(
            response.encode(body.as_ref().map(|body| body.as_slice())),
        ))
    }

    fn note_refused(&self, refused: &Refused) {
        let metrics = &self.options.metrics;
        metrics.note_refusal(refused.reason());
        let of_database = match refused {
            Refused::Away(_) | Refused::Unconfirmed(_) => true,
            Refused::Failed(error) => error.is::<StoreError>(),
            _ => false,
        };
        if of_database {
            metrics.note_database_error();
        }
    }

    async fn done(
        &self,
        service: Service,
        caller: &Caller,
        request: &Request,
        body: &[u8],
    ) -> Result<Done, Refused> {
        let who = caller.identifier();
        if !self.limits.request(who) {
            return Err(Refused::TooMany);
        }
        let account = self.store.account_of(who).await?;
        let is_known = account.is_some();
        if !is_known && !self.limits.stranger(caller.source) {
            return Err(Refused::TooMany);
        }
        if body.len() > MAX_BODY {
            return Err(Refused::Unusable("the body is too long".to_owned()));
        }
        let found = request
            .method
            .and_then(|method| find(service, method, &request.path));
        let Some((operation, named)) = found else {
            // Strangers do not learn what there is.
            return Err(if is_known {
                Refused::UnknownPath
            } else {
                Refused::NotEnrolled
            });
        };
        let done = match Box::pin(self.grant(operation.who, account, &named)).await {
            Ok(granted) => {
                let asked = Asked {
                    caller,
                    granted: &granted,
                    named: &named,
                    body,
                    action: operation.noted.unwrap_or(READ),
                };
                self.act(operation, &asked).await
            }
            Err(refused) => Err(refused),
        };
        let path = request.path.trim_matches('/');
        match &done {
            Ok(done) => {
                // What only the answer hands over, or what was so already.
                if let Some(noted) = operation.noted.filter(|_| !done.is_noted) {
                    let entry = self.audit.entry(&who.to_string(), noted, path, DONE);
                    self.audit.note(&entry).await?;
                }
            }
            Err(refused) if is_known && !matches!(refused, Refused::TooMany) => {
                let action = operation.noted.unwrap_or(READ);
                let object = format!("{} {path}", service.address());
                self.audit
                    .note_refusal(who, action, &object, &refused.to_string())
                    .await;
            }
            Err(_) => {}
        }
        done
    }

    /// Each in memory of its own: what is done for one request may be deep, and many wait at a time.
    fn act<'a>(&'a self, operation: &Operation, asked: &'a Asked<'a>) -> Doing<'a> {
        match operation.act {
            Act::Enroll => Box::pin(self.enroll(asked)),
            Act::AccountCredential => Box::pin(self.account_credential(asked)),
            Act::ProjectCredential => Box::pin(self.project_credential(asked)),
            Act::ListSpaces => Box::pin(self.list_spaces(asked)),
            Act::CreateSpace => Box::pin(self.create_space(asked)),
            Act::ShowSpace => now(self.show_space(asked)),
            Act::DeleteSpace => Box::pin(self.delete_space(asked)),
            Act::ListSpaceAdmins => Box::pin(std::future::ready(self.space_admins(asked))),
            Act::AddSpaceAdmin => Box::pin(self.add_space_admin(asked)),
            Act::DeleteSpaceAdmin => Box::pin(self.delete_space_admin(asked)),
            Act::ListProjects => Box::pin(self.list_projects(asked)),
            Act::CreateProject => Box::pin(self.create_project(asked)),
            Act::ShowOperation => now(self.show_operation(asked)),
            Act::ShowProject => Box::pin(self.show_project(asked)),
            Act::DeleteProject => Box::pin(self.delete_project(asked)),
            Act::ListProjectAdmins => Box::pin(std::future::ready(self.project_admins(asked))),
            Act::AddProjectAdmin => Box::pin(self.add_project_admin(asked)),
            Act::DeleteProjectAdmin => Box::pin(self.delete_project_admin(asked)),
            Act::ListAddons => now(self.list_addons(asked)),
            Act::ConfigureOkta => Box::pin(self.configure_okta(asked)),
            Act::ConfigureOther => now(self.configure_other(asked)),
            Act::DisableAddon => Box::pin(self.disable_addon(asked)),
            Act::ShowVersion => now(Ok(self.version())),
            Act::Invite => Box::pin(self.invite(asked)),
            Act::InviteToService => Box::pin(self.invite_to_service(asked)),
            Act::ListInvitations => Box::pin(self.list_invitations(asked)),
            Act::ShowInvitation => Box::pin(self.show_invitation(asked)),
            Act::IgnoreInvitation => Box::pin(self.ignore_invitation(asked)),
            Act::RedeemInvitation => Box::pin(self.redeem_invitation(asked)),
            Act::ListSubscriptions => Box::pin(self.list_subscriptions(asked)),
            Act::ShowSubscription => now(self.show_subscription(asked)),
            Act::ActivateSubscription | Act::ChangeSubscription => now(Err(Refused::NotOffered(
                "every space has what it needs: nothing is sold here",
            ))),
            Act::ShowSignIn => now(Ok(Done::with(&self.options.sign_in_info))),
            Act::ShowMe => now(self.me(asked)),
            Act::CreateCode => Box::pin(self.create_code(asked)),
            Act::PageCodes => Box::pin(self.page_codes(asked)),
            Act::DeleteCode => Box::pin(self.delete_code(asked)),
            Act::PageAccounts => Box::pin(self.page_accounts(asked)),
            Act::DeleteAccount => Box::pin(self.delete_account(asked)),
            Act::DeleteIdentifier => Box::pin(self.delete_identifier(asked)),
            Act::AddAdministrator => Box::pin(self.set_administrator(asked, true)),
            Act::DeleteAdministrator => Box::pin(self.set_administrator(asked, false)),
            Act::PageRelays => Box::pin(self.page_relays(asked)),
            Act::PageTickets => Box::pin(self.page_tickets(asked)),
            Act::PageAudit => Box::pin(self.page_audit(asked)),
        }
    }
}

/// What is being done.
type Doing<'a> = Pin<Box<dyn Future<Output = Result<Done, Refused>> + Send + 'a>>;

fn now<'a>(done: Result<Done, Refused>) -> Doing<'a> {
    Box::pin(std::future::ready(done))
}

fn log(service: Service, caller: Option<&Caller>, request: &Request, refused: &Refused) {
    let service = service.address();
    let caller = caller.map_or_else(
        || "nobody".to_owned(),
        |caller| caller.identifier().to_string(),
    );
    match refused {
        Refused::Failed(error) => {
            tracing::error!(service, caller, path = ?request.path, "{refused}: {error}");
        }
        Refused::Away(error) | Refused::Unconfirmed(error) => {
            tracing::warn!(service, caller, path = ?request.path, "{refused}: {error}");
        }
        _ => tracing::info!(service, caller, path = ?request.path, "refused: {refused}"),
    }
}

/// A random number that is not 0. `spec: trust 8.2`
fn number(source: &dyn Source) -> MessageId {
    let mut bytes = [0; 4];
    source.fill(&mut bytes);
    MessageId(u32::from_be_bytes(bytes).max(1))
}

/// The outcome of what was done.
const DONE: &str = "done";
/// How the audit log calls what changes nothing.
const READ: &str = "read";
/// Most bytes of the body of a request: a ticket or a certificate beside short texts.
const MAX_BODY: usize = 256 * 1024;
