//! Asking an authority: for codes, members and credentials.
//!
//! ```text
//! connect the way to its listener ═ channel with exactly the authority ═ one request, one answer ═ close
//! ```
//!
//! The channel is opened with the authority's identifier and nobody else's. What comes back counts only if it came through
//! that channel and names the request. No credential of one's own is needed to ask, except by the administrators of a
//! project: what the given identity presents is presented.
//!
//! Entry types: [`AuthorityClient`]; [`Renewal`], which keeps the credential that a node presents.
//!
//! Invariants: a one-time code is in no error and no log; an answer is bounded by the transport and read without trust.
//!
//! Specification: trust 4.7, 7.3, 8, 11.2 (15).

mod renewal;
mod withdrawals;

pub use renewal::{CacheFuture, CredentialCache, CredentialUnkept, Renewal, RenewalOptions};
pub use withdrawals::{KeptWithdrawals, WithdrawalOptions, Withdrawals};

use std::sync::Arc;
use std::time::Duration;

use ockam_identity::{
    CredentialBundle, CredentialError, Identifier, OneTimeCode, VerifiedCredential, VerifiedHistory,
};
use ockam_node::{Access, ConnectError, ConnectOptions, Connection, Node, OwnIdentity, SendError};
use ockam_wire::envelope::{ErrorBody, MessageId, Method, Request, Response, Status};
use ockam_wire::{Address, Buffer, MultiAddr, Protocol, Route};
use zeroize::Zeroizing;

use crate::message::{
    AddMember, AttributesEntry, AuthenticateOidcToken, CreateToken, IdentifierList, MemberList,
    MessageError, OidcTokenKind, Page, PageRequest, decode_one_time_code, encode_one_time_code,
};

/// Asks one authority as one identity. Each request has a connection and a channel of its own.
#[derive(Debug, Clone)]
pub struct AuthorityClient {
    /// The node that asks.
    pub node: Node,
    /// Who asks.
    pub identity: Arc<dyn OwnIdentity>,
    /// The authority; nobody else is spoken to.
    pub authority: Identifier,
    /// The way to the authority's channel listener: it ends with the listener's address, as `/service/api` or `/secure/api`.
    pub route: MultiAddr,
    /// How long one request may take, its connection included; connecting has a minute at most.
    pub timeout: Duration,
}

impl AuthorityClient {
    /// Has the authority make a one-time code.
    ///
    /// # Errors
    /// [`RequestError`]; only enrollers may.
    pub async fn create_token(&self, token: &CreateToken) -> Result<OneTimeCode, RequestError> {
        let body = token.encode();
        let answer = self.ask(TOKENS, Method::Post, "/", Some(&body)).await?;
        let mut body = answer.body;
        let code = decode_one_time_code(&body);
        body.fill(0);
        Ok(code?)
    }

    /// Redeems a one-time code: the caller becomes a member.
    ///
    /// # Errors
    /// [`RequestError`]; the code may be unknown, used up or expired.
    pub async fn redeem(&self, code: &OneTimeCode) -> Result<Redeemed, RequestError> {
        let body = encode_one_time_code(code);
        match self.ask(ACCEPTOR, Method::Post, "/", Some(&body)).await {
            Ok(_) => Ok(Redeemed::New),
            Err(error) if error.is_already_a_member() => Ok(Redeemed::AlreadyMember),
            Err(error) => Err(error),
        }
    }

    /// Has the authority look up who bears an access token of its sign-in service: the caller becomes a member.
    /// `spec: trust 7.3`
    ///
    /// # Errors
    /// [`RequestError`]; there may be no such service, or it may not know the token.
    pub async fn sign_in(&self, access_token: &str) -> Result<Redeemed, RequestError> {
        let body = AuthenticateOidcToken {
            kind: OidcTokenKind::Bearer,
            access_token: Zeroizing::new(access_token.to_owned()),
        }
        .encode();
        match self.ask(OKTA, Method::Post, "v0/enroll", Some(&body)).await {
            Ok(_) => Ok(Redeemed::New),
            Err(error) if error.is_already_a_member() => Ok(Redeemed::AlreadyMember),
            Err(error) => Err(error),
        }
    }

    /// Has the authority issue a member's credential for the caller, and verifies it.
    ///
    /// # Errors
    /// [`RequestError`]; only members get one.
    pub async fn credential(&self) -> Result<Issued, RequestError> {
        self.credential_of(CREDENTIALS, Method::Post, "/").await
    }

    /// Has an authority or a controller issue a credential of this kind for the caller, and verifies it.
    ///
    /// # Errors
    /// [`RequestError`]; only who is what the credential says gets one.
    pub async fn credential_as(&self, kind: &CredentialKind) -> Result<Issued, RequestError> {
        match kind {
            CredentialKind::Member => self.credential().await,
            CredentialKind::ProjectAdmin(project) => {
                let path = format!("/v0/project/{project}");
                self.credential_of(ACCOUNTS, Method::Get, &path).await
            }
        }
    }

    /// Asks any service behind the listener for a credential for the caller, as [`Self::request`] does, and verifies that the
    /// far end issued it.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn credential_of(
        &self,
        service: &'static str,
        method: Method,
        path: &str,
    ) -> Result<Issued, RequestError> {
        let answer = self.ask(service, method, path, None).await?;
        let bundle = CredentialBundle::decode(&answer.body).map_err(|_| RequestError::Body)?;
        // The authority has just proven its latest history; the one this side knew may be older.
        let provider = self.node.provider();
        let credential = bundle.verify(
            provider,
            &answer.authority,
            Some(&answer.own_identifier),
            self.node.unix_time(),
        )?;
        Ok(Issued { bundle, credential })
    }

    /// Makes somebody a member, or gives a member other attributes.
    ///
    /// # Errors
    /// [`RequestError`]; only enrollers may.
    pub async fn add_member(&self, member: &AddMember) -> Result<(), RequestError> {
        self.ask(MEMBERS, Method::Post, "/", Some(&member.encode()))
            .await
            .map(drop)
    }

    /// All members, in pages if the authority gives them so (`extensions 4.6`).
    ///
    /// # Errors
    /// [`RequestError`]; only enrollers may.
    pub async fn members(&self) -> Result<MemberList, RequestError> {
        let mut all = MemberList::default();
        self.pages("/members/page", |body| {
            let page = Page::<MemberList>::decode(body)?;
            let last = page.items.0.last_key_value().map(|(who, _)| *who);
            all.0.extend(page.items.0);
            Ok((last, page.more))
        })
        .await?
        .map_or(Ok(()), |whole| {
            all = MemberList::decode(&whole)?;
            Ok::<(), RequestError>(())
        })?;
        Ok(all)
    }

    /// The identifiers of all members, in pages if the authority gives them so.
    ///
    /// # Errors
    /// [`RequestError`]; only enrollers may.
    pub async fn member_ids(&self) -> Result<IdentifierList, RequestError> {
        let mut all = IdentifierList::default();
        self.pages("/member_ids/page", |body| {
            let page = Page::<IdentifierList>::decode(body)?;
            let last = page.items.0.last().copied();
            all.0.extend(page.items.0);
            Ok((last, page.more))
        })
        .await?
        .map_or(Ok(()), |whole| {
            all = IdentifierList::decode(&whole)?;
            Ok::<(), RequestError>(())
        })?;
        Ok(all)
    }

    /// Asks for page after page over one channel; `take` says where a page ends and whether there are more. An authority
    /// that gives no pages answers with the whole list, which comes back.
    async fn pages(
        &self,
        path: &str,
        mut take: impl FnMut(&[u8]) -> Result<(Option<Identifier>, bool), MessageError>,
    ) -> Result<Option<Vec<u8>>, RequestError> {
        let connection = self.connect().await?;
        let offered = connection
            .peer()
            .is_some_and(|peer| peer.extensions.pages.is_some());
        let list = async {
            if !offered {
                // The path of the whole list is that of its pages without their word.
                let whole = path.strip_suffix("/page").unwrap_or(path);
                let asked = exchange(&self.node, &connection, MEMBERS, Method::Get, whole, None);
                return Ok(Some(self.in_time(asked).await?.body));
            }
            let mut after = None;
            loop {
                let body = PageRequest { after, limit: None }.encode();
                let asked = exchange(
                    &self.node,
                    &connection,
                    MEMBERS,
                    Method::Post,
                    path,
                    Some(&body),
                );
                let (last, more) = take(&self.in_time(asked).await?.body)?;
                // A page that does not lead on would be asked for for ever.
                match (more, last) {
                    (false, _) => return Ok(None),
                    (true, Some(last)) if after < Some(last) => after = Some(last),
                    (true, _) => return Err(RequestError::Body),
                }
            }
        };
        let list = list.await;
        connection.close().await;
        list
    }

    async fn in_time<T>(
        &self,
        asked: impl Future<Output = Result<T, RequestError>>,
    ) -> Result<T, RequestError> {
        tokio::time::timeout(self.timeout, asked)
            .await
            .unwrap_or(Err(RequestError::Timeout(self.timeout)))
    }

    async fn connect(&self) -> Result<Connection, RequestError> {
        let options = ConnectOptions {
            identity: self.identity.clone(),
            authorized: vec![self.authority],
            timeout: self.timeout.min(LONGEST_CONNECT),
        };
        let way = to_listener(&self.route)?;
        Ok(self.node.connect(&way, options).await?)
    }

    /// What the authority holds of one member.
    ///
    /// # Errors
    /// [`RequestError`]; only enrollers may, and there may be no such member.
    pub async fn member(&self, member: &Identifier) -> Result<AttributesEntry, RequestError> {
        let path = format!("/{member}");
        let answer = self.ask(MEMBERS, Method::Get, &path, None).await?;
        Ok(AttributesEntry::decode(&answer.body)?)
    }

    /// Ends the membership of one member.
    ///
    /// # Errors
    /// [`RequestError`]; only enrollers may.
    pub async fn delete_member(&self, member: &Identifier) -> Result<(), RequestError> {
        let path = format!("/{member}");
        self.ask(MEMBERS, Method::Delete, &path, None)
            .await
            .map(drop)
    }

    /// Ends the membership of all whom the caller may delete, except the caller.
    ///
    /// # Errors
    /// [`RequestError`]; only enrollers may.
    pub async fn delete_members(&self) -> Result<(), RequestError> {
        self.ask(MEMBERS, Method::Delete, "/members", None)
            .await
            .map(drop)
    }

    /// Asks any service behind the listener and gives the body of its answer: a connection, a channel with exactly the
    /// expected identifier, one request, one answer, the end. Controllers are asked like this too (`trust 9.1`).
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn request(
        &self,
        service: &'static str,
        method: Method,
        path: &str,
        body: Option<&[u8]>,
    ) -> Result<Vec<u8>, RequestError> {
        Ok(self.ask(service, method, path, body).await?.body)
    }

    async fn ask(
        &self,
        service: &'static str,
        method: Method,
        path: &str,
        body: Option<&[u8]>,
    ) -> Result<Answer, RequestError> {
        let deadline = tokio::time::Instant::now() + self.timeout;
        let connection = self.connect().await?;
        let exchange = exchange(&self.node, &connection, service, method, path, body);
        let answer = tokio::time::timeout_at(deadline, exchange)
            .await
            .unwrap_or(Err(RequestError::Timeout(self.timeout)));
        connection.close().await;
        answer
    }
}

/// What a credential says of whom it is about, and thereby who is asked for it (spec: trust 4.7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialKind {
    /// A member of a project: its authority says so.
    Member,
    /// An administrator of the project with this id: a controller says so, to that project's authority.
    ProjectAdmin(String),
}

impl CredentialKind {
    /// Whether a refusal means that the caller is not what the credential would say.
    fn is_denied_by(&self, error: &RequestError) -> bool {
        match self {
            Self::Member => error.is_not_a_member(),
            Self::ProjectAdmin(_) => error.is_forbidden() || error.is_not_found(),
        }
    }
}

/// What became of a one-time code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redeemed {
    /// The caller is a member now.
    New,
    /// The caller was a member before, and the code is not used.
    AlreadyMember,
}

/// A credential, as it is presented and as it was verified.
#[derive(Debug, Clone)]
pub struct Issued {
    /// What is presented.
    pub bundle: CredentialBundle,
    /// What it says.
    pub credential: VerifiedCredential,
}

/// A request that was not answered as it should have been.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The way does not end at a listener of channels.
    #[error("the route `{0}` does not end at a secure channel listener")]
    Route(MultiAddr),
    /// The authority was not reached, or somebody else was there.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The request could not be sent.
    #[error("the request could not be sent")]
    Send(#[from] SendError),
    /// No answer came in time.
    #[error("the authority did not answer within {0:?}")]
    Timeout(Duration),
    /// The channel ended before the answer came.
    #[error("the authority closed the channel before it answered")]
    Closed,
    /// The authority said no.
    #[error("{}", Refusal(.status, .message))]
    Refused {
        /// How it said so.
        status: Option<Status>,
        /// What it said, bounded and without control characters.
        message: String,
    },
    /// The answer is not what was asked for.
    #[error("the authority's answer is not understood")]
    Body,
    /// The body of the answer is malformed.
    #[error("the authority's answer is not understood")]
    Message(#[from] MessageError),
    /// The credential is not valid.
    #[error("the authority's credential is not valid")]
    Credential(#[from] CredentialError),
}

impl RequestError {
    /// Whether the caller is a member already. `spec: trust 7.3`
    pub fn is_already_a_member(&self) -> bool {
        self.says(Status::Forbidden, "already a member")
    }

    /// Whether the one-time code is not one that can be redeemed.
    pub fn is_unknown_code(&self) -> bool {
        self.says(Status::Forbidden, "unknown enrollment token")
    }

    /// Whether the authority does not know the caller as a member.
    pub fn is_not_a_member(&self) -> bool {
        self.says(Status::Forbidden, "unauthorized member")
    }

    /// Whether the authority does not know the member that was asked about.
    pub fn is_unknown_member(&self) -> bool {
        self.says(Status::Forbidden, "not found")
    }

    /// Whether the authority refused because of who asks.
    pub fn is_forbidden(&self) -> bool {
        matches!(
            self,
            Self::Refused {
                status: Some(Status::Forbidden | Status::Unauthorized),
                ..
            }
        )
    }

    /// Whether there is no such thing, as far as the caller may know.
    pub fn is_not_found(&self) -> bool {
        matches!(
            self,
            Self::Refused {
                status: Some(Status::NotFound),
                ..
            }
        )
    }

    /// Whether it is there already, or something else is in the way.
    pub fn is_conflict(&self) -> bool {
        matches!(
            self,
            Self::Refused {
                status: Some(Status::Conflict),
                ..
            }
        )
    }

    /// Whether whoever was asked does not do such a thing.
    pub fn is_not_offered(&self) -> bool {
        matches!(
            self,
            Self::Refused {
                status: Some(Status::NotImplemented),
                ..
            }
        )
    }

    /// Whether the authority was not there, which may be otherwise in a while.
    pub fn is_unavailable(&self) -> bool {
        matches!(
            self,
            Self::Connect(_) | Self::Send(_) | Self::Timeout(_) | Self::Closed
        )
    }

    fn says(&self, wanted: Status, text: &str) -> bool {
        match self {
            Self::Refused { status, message } => {
                *status == Some(wanted) && message.to_lowercase().contains(text)
            }
            _ => false,
        }
    }
}

struct Refusal<'a>(&'a Option<Status>, &'a str);

impl std::fmt::Display for Refusal<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(status, message) = self;
        f.write_str("the authority refused")?;
        if let Some(status) = status {
            write!(f, " with {}", status.code())?;
        }
        if message.is_empty() {
            return Ok(());
        }
        write!(f, ": {message}")
    }
}

struct Answer {
    body: Vec<u8>,
    authority: Arc<VerifiedHistory>,
    own_identifier: Identifier,
}

async fn exchange(
    node: &Node,
    connection: &Connection,
    service: &'static str,
    method: Method,
    path: &str,
    body: Option<&[u8]>,
) -> Result<Answer, RequestError> {
    let channel = connection.channels().last().ok_or(RequestError::Closed)?;
    let own = node.random_address();
    let mut mailbox = node
        .router()
        .start_mailbox(std::slice::from_ref(&own), Access::ALLOW_ALL)
        .map_err(|_| RequestError::Closed)?;
    if let Some(flow) = connection.flow() {
        node.router().add_consumer(&own, flow);
    }
    let request = Request::new(MessageId(number()), method, path);
    let mut to = connection.route().clone();
    to.push_back(&Address::from_static(service))
        .map_err(ConnectError::from)?;
    let back = Route::from_hops([own.clone()]).map_err(ConnectError::from)?;
    let message = Zeroizing::new(request.encode(body));
    node.router()
        .send(&own, to, back, Buffer::from_slice(&message))
        .await?;
    loop {
        let answer = tokio::select! {
            answer = mailbox.recv() => answer,
            () = connection.closed() => return Err(RequestError::Closed),
        };
        // spec: trust 11.2 (15)
        if answer.origin.peer.as_ref() != Some(channel.peer()) {
            continue;
        }
        let Ok((response, body)) = Response::decode(answer.payload.as_slice()) else {
            continue;
        };
        if response.re != request.id {
            continue;
        }
        let body = body.unwrap_or_default();
        if !response.is_ok() {
            return Err(RequestError::Refused {
                status: response.status,
                message: told(ErrorBody::decode(body).message.unwrap_or_default()),
            });
        }
        return Ok(Answer {
            body: body.to_vec(),
            authority: channel.peer().history(),
            own_identifier: *channel.own_identifier(),
        });
    }
}

/// The same way with a handshake at its end.
fn to_listener(route: &MultiAddr) -> Result<MultiAddr, RequestError> {
    let unusable = || RequestError::Route(route.clone());
    let (last, before) = route.protocols().split_last().ok_or_else(unusable)?;
    let (Protocol::Service(listener) | Protocol::Worker(listener) | Protocol::Secure(listener)) =
        last
    else {
        return Err(unusable());
    };
    let listener = Protocol::Secure(listener.clone());
    MultiAddr::new(before.iter().cloned().chain([listener])).map_err(|_| unusable())
}

/// What an authority says is shown to people: not too much of it, and nothing that steers a terminal.
fn told(message: String) -> String {
    message
        .chars()
        .filter(|c| !c.is_control())
        .take(MAX_TOLD)
        .collect()
}

/// A random number that is not 0. `spec: trust 8.2`
fn number() -> u32 {
    loop {
        let number = getrandom::u32().expect("the operating system gives random bytes");
        if number != 0 {
            return number;
        }
    }
}

/// Most characters of an authority's message that are shown.
const MAX_TOLD: usize = 300;
/// A listener that is there answers sooner. One that is not never does: what is sent there is dropped without a word.
const LONGEST_CONNECT: Duration = Duration::from_secs(60);

const TOKENS: &str = "enrollment_token_issuer";
const ACCEPTOR: &str = "enrollment_token_acceptor";
const OKTA: &str = "okta";
const CREDENTIALS: &str = "credential_issuer";
const ACCOUNTS: &str = "accounts";
const MEMBERS: &str = "direct_authenticator";
