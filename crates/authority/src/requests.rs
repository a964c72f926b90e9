//! From the bytes of a request to the bytes of its answer: paths, methods, statuses.
//!
//! Specification: trust 7.3, 8; extensions 4.5, 4.6.

use ockam_identity::Identifier;
use ockam_wire::MAX_MESSAGE;
use ockam_wire::envelope::{ErrorBody, MessageId, Method, Request, Response, Status};
use zeroize::Zeroizing;

use crate::authority::{Authority, Caller, Refused, random};
use crate::members::{Member, Members};
use crate::message::{
    AddMember, AttributesEntry, AuthenticateOidcToken, CreateToken, IdentifierList, MemberList,
    MessageError, Page, PageRequest, Question, decode_one_time_code, encode_one_time_code,
};
use crate::subscribers::Further;

/// The services of an authority. `spec: trust 7.1`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Service {
    /// Members by hand.
    DirectAuthenticator,
    /// One-time codes.
    TokenIssuer,
    /// Redeems them.
    TokenAcceptor,
    /// Credentials.
    CredentialIssuer,
    /// Members by a sign-in service.
    Okta,
    /// What was withdrawn.
    WithdrawalNotices,
}

impl Service {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::DirectAuthenticator,
        Self::TokenIssuer,
        Self::TokenAcceptor,
        Self::CredentialIssuer,
        Self::Okta,
        Self::WithdrawalNotices,
    ];

    /// Where it is.
    #[must_use]
    pub const fn address(self) -> &'static str {
        match self {
            Self::DirectAuthenticator => "direct_authenticator",
            Self::TokenIssuer => "enrollment_token_issuer",
            Self::TokenAcceptor => "enrollment_token_acceptor",
            Self::CredentialIssuer => "credential_issuer",
            Self::Okta => "okta",
            Self::WithdrawalNotices => "withdrawal_notices",
        }
    }
}

/// What goes back for a request.
#[derive(Debug)]
pub struct Answer {
    /// The request that further answers refer to.
    pub(crate) re: MessageId,
    /// The encoded answer. A one-time code may be in it.
    pub(crate) message: Zeroizing<Vec<u8>>,
    /// Bodies of further answers.
    pub(crate) further: Option<Further>,
}

impl AsRef<[u8]> for Answer {
    fn as_ref(&self) -> &[u8] {
        &self.message
    }
}

impl Answer {
    /// The encoded answer.
    #[must_use]
    pub fn message(&self) -> &[u8] {
        &self.message
    }
}

/// What is done, if it is.
struct Done {
    body: Option<Zeroizing<Vec<u8>>>,
    further: Option<Further>,
}

impl Done {
    const NOTHING_TO_SAY: Self = Self {
        body: None,
        further: None,
    };

    fn with(body: impl Into<Zeroizing<Vec<u8>>>) -> Self {
        Self {
            body: Some(body.into()),
            further: None,
        }
    }
}

impl<M: Members> Authority<M> {
    /// Does what a message asks of a service. Nothing goes back for a message that is no request. Without a caller nothing
    /// is done.
    pub async fn answer(
        &self,
        service: Service,
        caller: Option<&Caller>,
        message: &[u8],
    ) -> Option<Answer> {
        let (request, body) = match Request::decode(message) {
            Ok(decoded) => decoded,
            Err(error) => {
                tracing::debug!(service = service.address(), "no request: {error}");
                return None;
            }
        };
        let done = match caller {
            None => Err(Refused::NoChannel),
            Some(caller) => match self.admit(caller) {
                Ok(()) => self.serve(service, caller, &request, body).await,
                Err(refused) => Err(refused),
            },
        };
        let (status, body, further) = match done {
            Ok(done) => (Status::Ok, done.body, done.further),
            Err(refused) => {
                self.log(service, caller, &request, &refused);
                let body = ErrorBody::new(&request, refused.to_string()).encode();
                (status(service, &refused), Some(body.into()), None)
            }
        };
        let response = Response::new(MessageId(random_id()), request.id, status);
        let message = response.encode(body.as_ref().map(|body| body.as_slice()));
        Some(Answer {
            re: request.id,
            message: message.into(),
            further,
        })
    }

    async fn serve(
        &self,
        service: Service,
        caller: &Caller,
        request: &Request,
        body: Option<&[u8]>,
    ) -> Result<Done, Refused> {
        let method = request.method.ok_or(Refused::UnknownPath)?;
        let path = request.path.as_str();
        let body = body.unwrap_or_default();
        match service {
            Service::DirectAuthenticator => {
                let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
                self.serve_members(caller, method, &parts, body).await
            }
            Service::TokenIssuer => match (method, path) {
                (Method::Post, "/" | "/tokens") => {
                    let create = CreateToken::decode(body)?;
                    let code = self.create_code(caller, create).await?;
                    Ok(Done::with(encode_one_time_code(&code)))
                }
                _ => Err(Refused::UnknownPath),
            },
            Service::TokenAcceptor => match (method, path) {
                (Method::Post, "/" | "/credential") => {
                    let code = decode_one_time_code(body)?;
                    self.redeem(caller, &code).await?;
                    Ok(Done::NOTHING_TO_SAY)
                }
                _ => Err(Refused::UnknownPath),
            },
            Service::CredentialIssuer => match (method, path) {
                (Method::Post, "/" | "/credential") => {
                    let bundle = self.issue(caller).await?;
                    Ok(Done::with(bundle.as_bytes().to_vec()))
                }
                _ => Err(Refused::UnknownPath),
            },
            Service::Okta => {
                let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
                match (method, parts.as_slice()) {
                    (Method::Post, ["v0", "enroll"]) => {
                        let token = AuthenticateOidcToken::decode(body)?;
                        self.enroll_by_sign_in(caller, &token.access_token).await?;
                        Ok(Done::NOTHING_TO_SAY)
                    }
                    _ => Err(Refused::UnknownPath),
                }
            }
            Service::WithdrawalNotices => match (method, path) {
                (Method::Post, "/") => {
                    let question = Question::decode(body)?;
                    let (notices, further) = self.withdrawals(caller, &question).await?;
                    Ok(Done {
                        body: Some(notices.encode().into()),
                        further,
                    })
                }
                _ => Err(Refused::UnknownPath),
            },
        }
    }

    async fn serve_members(
        &self,
        caller: &Caller,
        method: Method,
        path: &[&str],
        body: &[u8],
    ) -> Result<Done, Refused> {
        match (method, path) {
            (Method::Post, [""] | ["members"]) => {
                self.add_member(caller, AddMember::decode(body)?).await?;
                Ok(Done::NOTHING_TO_SAY)
            }
            (Method::Get, [""] | ["members"]) => {
                self.may_list(caller).await?;
                Ok(Done::with(self.whole_list().await?))
            }
            (Method::Get, ["member_ids"]) => {
                self.may_list(caller).await?;
                Ok(Done::with(self.whole_identifiers().await?))
            }
            (Method::Delete, ["members"]) => {
                self.remove_members(caller).await?;
                Ok(Done::NOTHING_TO_SAY)
            }
            (Method::Post, ["members", "page"]) => {
                let page = PageRequest::decode(body)?;
                self.may_list(caller).await?;
                Ok(Done::with(self.page(page).await?.encode()))
            }
            (Method::Post, ["member_ids", "page"]) => {
                let page = PageRequest::decode(body)?;
                self.may_list(caller).await?;
                Ok(Done::with(self.identifiers_page(page).await?.encode()))
            }
            (Method::Get, [who] | ["members", who]) => {
                let who: Identifier = who.parse().map_err(|_| Refused::UnknownPath)?;
                let member = self.member(caller, &who).await?;
                Ok(Done::with(entry(member).encode()))
            }
            (Method::Delete, [who] | ["members", who]) => {
                let who: Identifier = who.parse().map_err(|_| Refused::UnknownPath)?;
                self.remove_member(caller, &who).await?;
                Ok(Done::NOTHING_TO_SAY)
            }
            _ => Err(Refused::UnknownPath),
        }
    }

    async fn may_list(&self, caller: &Caller) -> Result<(), Refused> {
        self.enroller(caller, "Non-enroller is trying to list members")
            .await
            .map(drop)
    }

    /// spec: extensions 4.6
    async fn page(&self, request: PageRequest) -> Result<Page<MemberList>, Refused> {
        let limit = page_limit(request.limit, MAX_PAGE);
        // One more than goes out tells whether there are more.
        let members = self
            .members()
            .page(request.after.as_ref(), limit + 1)
            .await?;
        let mut more = members.len() > limit;
        let mut page = MemberList::default();
        let mut size = 0;
        for (who, member) in members.into_iter().take(limit) {
            let entry = entry(member);
            size += IDENTIFIER_LEN + entry.encode().len();
            if size > MAX_PAGE_LEN && !page.0.is_empty() {
                more = true;
                break;
            }
            page.0.insert(who, entry);
        }
        Ok(Page { items: page, more })
    }

    async fn identifiers_page(
        &self,
        request: PageRequest,
    ) -> Result<Page<IdentifierList>, Refused> {
        let limit = page_limit(request.limit, MAX_IDENTIFIER_PAGE);
        let mut page = self
            .members()
            .identifiers(request.after.as_ref(), limit + 1)
            .await?;
        let more = page.len() > limit;
        page.truncate(limit);
        Ok(Page {
            items: IdentifierList(page),
            more,
        })
    }

    /// All members as published clients read them.
    async fn whole_list(&self) -> Result<Vec<u8>, Refused> {
        let _alone = self.whole_lists.acquire().await;
        let mut entries = Vec::new();
        let mut count = 0;
        let mut after = None;
        loop {
            let members = self.members().page(after.as_ref(), MAX_PAGE).await?;
            let last = members.len() < MAX_PAGE;
            after = members.last().map(|(who, _)| *who);
            for (who, member) in members {
                entries.extend_from_slice(&[0x58, 0x20]);
                entries.extend_from_slice(who.as_bytes());
                entries.extend_from_slice(&entry(member).encode());
                count += 1;
            }
            if entries.len() > MAX_WHOLE_LIST {
                return Err(Refused::TooLong);
            }
            if last {
                return Ok(crate::message::counted_map(count, &entries));
            }
        }
    }

    async fn whole_identifiers(&self) -> Result<Vec<u8>, Refused> {
        let _alone = self.whole_lists.acquire().await;
        let mut all = IdentifierList::default();
        loop {
            let page = self
                .members()
                .identifiers(all.0.last(), MAX_IDENTIFIER_PAGE)
                .await?;
            let last = page.len() < MAX_IDENTIFIER_PAGE;
            all.0.extend(page);
            if all.0.len() * IDENTIFIER_LEN > MAX_WHOLE_LIST {
                return Err(Refused::TooLong);
            }
            if last {
                return Ok(all.encode());
            }
        }
    }

    fn log(&self, service: Service, caller: Option<&Caller>, request: &Request, refused: &Refused) {
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
}

impl From<MessageError> for Refused {
    fn from(error: MessageError) -> Self {
        Self::Malformed(error.to_string())
    }
}

fn status(service: Service, refused: &Refused) -> Status {
    match refused {
        // spec: trust 7.1
        Refused::NoChannel if service == Service::Okta => Status::Forbidden,
        Refused::Forbidden(_) => Status::Forbidden,
        Refused::Malformed(_) | Refused::UnknownPath | Refused::NoChannel => Status::BadRequest,
        Refused::TooMany => Status::Conflict,
        Refused::TooLong | Refused::Failed(_) => Status::InternalServerError,
    }
}

fn entry(member: Member) -> AttributesEntry {
    AttributesEntry {
        attributes: member.attributes,
        added_at: member.added_at,
        expires_at: None,
        added_by: Some(member.added_by),
    }
}

fn page_limit(asked: Option<u64>, most: usize) -> usize {
    asked
        .and_then(|asked| usize::try_from(asked).ok())
        .unwrap_or(most)
        .clamp(1, most)
}

fn random_id() -> u32 {
    u32::from_be_bytes(random()).max(1)
}

/// Members on one page, however many are asked for.
const MAX_PAGE: usize = 500;
/// Bytes of one page of members.
const MAX_PAGE_LEN: usize = 256 * 1024;
const MAX_IDENTIFIER_PAGE: usize = 5000;
/// Bytes of an identifier in CBOR.
const IDENTIFIER_LEN: usize = 34;
/// What fits into a message beside envelope, routes and the layers around it.
const MAX_WHOLE_LIST: usize = MAX_MESSAGE - 64 * 1024;
