//! From the bytes of a request to the bytes of its answer: who asks, whether they may, statuses, the audit log.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ockam_control::controller::message::Item;
use ockam_identity::{Identifier, VerifiedHistory};
use ockam_store::StoreError;
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
    pub source: Option<SocketAddr>,
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
    #[error("{0}")]
    Unavailable(&'static str),
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
            Self::Conflict(_) | Self::TooMany => Status::Conflict,
            Self::NotOffered(_) => Status::NotImplemented,
            Self::TooLong | Self::Unavailable(_) | Self::Failed(_) => Status::InternalServerError,
        }
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self::Failed(Box::new(error))
    }
}

impl From<HostingError> for Refused {
    fn from(error: HostingError) -> Self {
        match error {
            HostingError::NotOffered(why) => Self::NotOffered(why),
            HostingError::Unusable(why) => Self::Unusable(why),
            HostingError::Failed(error) => Self::Failed(error),
        }
    }
}

/// What was done.
#[derive(Default)]
pub(super) struct Done {
    pub(super) body: Option<Zeroizing<Vec<u8>>>,
    /// On what, for the audit log; the path if nothing is said.
    pub(super) object: Option<String>,
}

impl Done {
    pub(super) fn with(body: &impl Item) -> Self {
        Self {
            body: Some(body.encode()),
            object: None,
        }
    }

    pub(super) fn on(mut self, object: impl Into<String>) -> Self {
        self.object = Some(object.into());
        self
    }
}

/// One request that may be done.
pub(super) struct Asked<'a> {
    pub(super) caller: &'a Caller,
    pub(super) granted: &'a Granted,
    pub(super) named: &'a Named<'a>,
    pub(super) body: &'a [u8],
}

impl Asked<'_> {
    /// The body, as what it should be.
    pub(super) fn read<T: Item>(&self) -> Result<T, Refused> {
        Ok(T::decode(self.body)?)
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
                self.done(service, caller, &request, body.unwrap_or_default())
                    .await
            }
        };
        let (status, body) = match done {
            Ok(done) => (Status::Ok, done.body),
            Err(refused) => {
                self.refused.fetch_add(1, Ordering::Relaxed);
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
        let done = match self.grant(operation.who, account, &named).await {
            Ok(granted) => {
                let asked = Asked {
                    caller,
                    granted: &granted,
                    named: &named,
                    body,
                };
                self.act(operation, &asked).await
            }
            Err(refused) => Err(refused),
        };
        let path = request.path.trim_matches('/');
        match &done {
            Ok(done) => {
                if let Some(noted) = operation.noted {
                    let object = done.object.as_deref().unwrap_or(path);
                    self.audit
                        .note(&who.to_string(), noted, object, "done")
                        .await?;
                }
            }
            Err(refused) if is_known && !matches!(refused, Refused::TooMany) => {
                let action = operation.noted.unwrap_or("read");
                let object = format!("{} {path}", service.address());
                self.audit
                    .note_refusal(who, action, &object, &refused.to_string())
                    .await;
            }
            Err(_) => {}
        }
        done
    }

    async fn act(&self, operation: &Operation, asked: &Asked<'_>) -> Result<Done, Refused> {
        match operation.act {
            Act::Enroll => self.enroll(asked).await,
            Act::AccountCredential => self.account_credential(asked).await,
            Act::ProjectCredential => self.project_credential(asked).await,
            Act::ListSpaces => self.list_spaces(asked).await,
            Act::CreateSpace => self.create_space(asked).await,
            Act::ShowSpace => self.show_space(asked),
            Act::DeleteSpace => self.delete_space(asked).await,
            Act::ListSpaceAdmins => self.space_admins(asked).await,
            Act::AddSpaceAdmin => self.add_space_admin(asked).await,
            Act::DeleteSpaceAdmin => self.delete_space_admin(asked).await,
            Act::ListProjects => self.list_projects(asked).await,
            Act::CreateProject => self.create_project(asked).await,
            Act::ShowOperation => self.show_operation(asked),
            Act::ShowProject => self.show_project(asked).await,
            Act::DeleteProject => self.delete_project(asked).await,
            Act::ListProjectAdmins => self.project_admins(asked).await,
            Act::AddProjectAdmin => self.add_project_admin(asked).await,
            Act::DeleteProjectAdmin => self.delete_project_admin(asked).await,
            Act::ListAddons => self.list_addons(asked),
            Act::ConfigureOkta => self.configure_okta(asked).await,
            Act::ConfigureOther => self.configure_other(asked),
            Act::DisableAddon => self.disable_addon(asked).await,
            Act::ShowVersion => Ok(self.version()),
            Act::Invite => self.invite(asked).await,
            Act::InviteToService => self.invite_to_service(asked).await,
            Act::ListInvitations => self.list_invitations(asked).await,
            Act::ShowInvitation => self.show_invitation(asked).await,
            Act::IgnoreInvitation => self.ignore_invitation(asked).await,
            Act::RedeemInvitation => self.redeem_invitation(asked).await,
            Act::ActivateSubscription => Err(Refused::NotOffered(
                "every space has what it needs: nothing is sold here",
            )),
            Act::ListSubscriptions => Ok(Done::with(&Vec::<String>::new())),
            Act::NoSubscription => Err(Refused::NotFound),
            Act::ShowSignIn => Ok(Done::with(&self.options.sign_in_info)),
            Act::ShowMe => self.me(asked),
            Act::PageSpaces => self.page_spaces(asked).await,
            Act::PageProjects => self.page_projects(asked).await,
            Act::CreateCode => self.create_code(asked).await,
            Act::PageCodes => self.page_codes(asked).await,
            Act::DeleteCode => self.delete_code(asked).await,
            Act::PageAccounts => self.page_accounts(asked).await,
            Act::DeleteAccount => self.delete_account(asked).await,
            Act::DeleteIdentifier => self.delete_identifier(asked).await,
            Act::AddAdministrator => self.set_administrator(asked, true).await,
            Act::DeleteAdministrator => self.set_administrator(asked, false).await,
            Act::PageRelays => self.page_relays(asked).await,
            Act::PageTickets => self.page_tickets(asked).await,
            Act::PageAudit => self.page_audit(asked).await,
        }
    }
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
        _ => tracing::info!(service, caller, path = ?request.path, "refused: {refused}"),
    }
}

/// A random number that is not 0. `spec: trust 8.2`
fn number(source: &dyn Source) -> MessageId {
    let mut bytes = [0; 4];
    source.fill(&mut bytes);
    MessageId(u32::from_be_bytes(bytes).max(1))
}

/// Most bytes of the body of a request: a ticket or a certificate beside short texts.
const MAX_BODY: usize = 256 * 1024;
