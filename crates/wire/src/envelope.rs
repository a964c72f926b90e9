//! Requests and responses: one message each way.
//!
//! ```text
//! 14                     BARE length of all that follows
//! a4 01 01               1: id of the request
//!    02 6a 76302f6d..    2: path           response: 2: id of the request, 3: status
//!    03 01               3: method
//!    04 f5               4: whether a body follows
//! aa                     body: the rest, in the encoding of the endpoint
//! ```
//!
//! Unknown keys, methods and statuses are skipped; bytes that belong to nothing are refused.
//!
//! Specification: messaging 1.8, trust 8.

use crate::bare;
use crate::cbor::{DecodeError, MAX_NESTING, Reader, set_once};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use minicbor::Encoder;

/// Number that connects a response with its request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageId(pub u32);

impl MessageId {
    /// What a response refers to when the request's number could not be read.
    pub const UNKNOWN: Self = Self(0);
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// Read.
    Get,
    /// Make.
    Post,
    /// Replace.
    Put,
    /// Remove.
    Delete,
    /// Change.
    Patch,
}

impl Method {
    /// All methods; the position is the number on the wire.
    pub const ALL: [Self; 5] = [Self::Get, Self::Post, Self::Put, Self::Delete, Self::Patch];
}

/// How a request went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum Status {
    /// Done. All others are failures.
    Ok = 200,
    /// The request is malformed.
    BadRequest = 400,
    /// The requester is not known.
    Unauthorized = 401,
    /// The requester may not do this.
    Forbidden = 403,
    /// There is no such thing.
    NotFound = 404,
    /// The path does not have this method.
    MethodNotAllowed = 405,
    /// It took too long.
    Timeout = 408,
    /// Something is in the way.
    Conflict = 409,
    /// The service failed.
    InternalServerError = 500,
    /// The service does not do this.
    NotImplemented = 501,
}

impl Status {
    /// All statuses.
    pub const ALL: [Self; 10] = [
        Self::Ok,
        Self::BadRequest,
        Self::Unauthorized,
        Self::Forbidden,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::Timeout,
        Self::Conflict,
        Self::InternalServerError,
        Self::NotImplemented,
    ];

    /// The number on the wire.
    #[must_use]
    pub fn code(self) -> u16 {
        self as u16
    }
}

/// Header of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Chosen at random by the requester, not 0.
    pub id: MessageId,
    /// What is addressed. Published clients write it with or without a leading slash, see [`Request::segments`].
    pub path: String,
    /// What to do with it. Absent when this implementation does not know the method.
    pub method: Option<Method>,
}

impl Request {
    /// A request.
    #[must_use]
    pub fn new(id: MessageId, method: Method, path: impl Into<String>) -> Self {
        Self {
            id,
            path: path.into(),
            method: Some(method),
        }
    }

    /// The whole message, with the encoded body if there is one.
    #[must_use]
    pub fn encode(&self, body: Option<&[u8]>) -> Vec<u8> {
        envelope(body, |header| {
            header
                .map(3 + u64::from(self.method.is_some()))?
                .u8(1)?
                .u32(self.id.0)?
                .u8(2)?
                .str(&self.path)?;
            if let Some(method) = self.method {
                header.u8(3)?.u8(method as u8)?;
            }
            header.u8(4)?.bool(body.is_some())?.ok()
        })
    }

    /// Reads a whole message; the body is borrowed.
    ///
    /// # Errors
    /// If it is not exactly a request.
    pub fn decode(message: &[u8]) -> Result<(Self, Option<&[u8]>), DecodeError> {
        let content = bare::decode_bytes(message)?;
        let mut reader = Reader::new(content);
        let (mut id, mut path, mut method, mut has_body) = (None, None, None, None);
        reader.entries(|reader, key| match key {
            1 => set_once(&mut id, "id", number(reader)?),
            2 => set_once(&mut path, "path", reader.text()?),
            3 => set_once(&mut method, "method", read_method(reader)?),
            4 => set_once(&mut has_body, "has_body", reader.bool()?),
            _ => reader.skip(MAX_NESTING),
        })?;
        let id = id.ok_or(DecodeError::Missing("id"))?;
        let path = path.ok_or(DecodeError::Missing("path"))?.into();
        let body = body(&reader, has_body)?;
        Ok((
            Self {
                id,
                path,
                method: method.flatten(),
            },
            body,
        ))
    }

    /// The non-empty parts of the path.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.path.split('/').filter(|segment| !segment.is_empty())
    }
}

/// Header of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// Chosen at random by the responder.
    pub id: MessageId,
    /// The request answered.
    pub re: MessageId,
    /// How it went. Absent when this implementation does not know the status.
    pub status: Option<Status>,
}

impl Response {
    /// A response to the request with number `re`.
    #[must_use]
    pub fn new(id: MessageId, re: MessageId, status: Status) -> Self {
        Self {
            id,
            re,
            status: Some(status),
        }
    }

    /// The whole message, with the encoded body if there is one.
    #[must_use]
    pub fn encode(&self, body: Option<&[u8]>) -> Vec<u8> {
        envelope(body, |header| {
            header
                .map(3 + u64::from(self.status.is_some()))?
                .u8(1)?
                .u32(self.id.0)?
                .u8(2)?
                .u32(self.re.0)?;
            if let Some(status) = self.status {
                header.u8(3)?.u16(status.code())?;
            }
            header.u8(4)?.bool(body.is_some())?.ok()
        })
    }

    /// Reads a whole message; the body is borrowed.
    ///
    /// # Errors
    /// If it is not exactly a response.
    pub fn decode(message: &[u8]) -> Result<(Self, Option<&[u8]>), DecodeError> {
        let content = bare::decode_bytes(message)?;
        let mut reader = Reader::new(content);
        let (mut id, mut re, mut status, mut has_body) = (None, None, None, None);
        reader.entries(|reader, key| match key {
            1 => set_once(&mut id, "id", number(reader)?),
            2 => set_once(&mut re, "re", number(reader)?),
            3 => set_once(&mut status, "status", read_status(reader)?),
            4 => set_once(&mut has_body, "has_body", reader.bool()?),
            _ => reader.skip(MAX_NESTING),
        })?;
        let id = id.ok_or(DecodeError::Missing("id"))?;
        let re = re.ok_or(DecodeError::Missing("re"))?;
        let body = body(&reader, has_body)?;
        Ok((
            Self {
                id,
                re,
                status: status.flatten(),
            },
            body,
        ))
    }

    /// Whether the request was done.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.status == Some(Status::Ok)
    }
}

/// Body of a response that is a failure.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorBody {
    /// The path of the request.
    pub path: Option<String>,
    /// The method of the request.
    pub method: Option<Method>,
    /// What went wrong, safe to show.
    pub message: Option<String>,
    /// Why it went wrong.
    pub cause: Option<Box<Self>>,
}

impl ErrorBody {
    /// A failure of a request, with a message that tells no details.
    #[must_use]
    pub fn new(request: &Request, message: impl Into<String>) -> Self {
        Self {
            path: Some(request.path.clone()),
            method: request.method,
            message: Some(message.into()),
            cause: None,
        }
    }

    /// The encoded body. Causes nested deeper than peers accept are left out.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        written(|header| self.put(header, MAX_NESTING))
    }

    /// Reads the body of any failure: the structure of this type, or text, or bytes that are text. Anything else,
    /// like a missing body, is an error without a message.
    // spec: trust 8.3
    #[must_use]
    pub fn decode(body: &[u8]) -> Self {
        let only_message = |message: &str| Self {
            message: Some(message.into()),
            ..Self::default()
        };
        let mut reader = Reader::new(body);
        let decoded = match reader.peek().map(|first| first >> 5) {
            Some(2) => reader
                .bytes()
                .and_then(|bytes| core::str::from_utf8(bytes).map_err(|_| DecodeError::NotUtf8))
                .map(only_message),
            Some(3) => reader.text().map(only_message),
            _ => Self::read(&mut reader, MAX_NESTING),
        };
        decoded
            .and_then(|error| reader.finish().map(|()| error))
            .unwrap_or_default()
    }

    fn put<W: minicbor::encode::Write>(
        &self,
        out: &mut Encoder<W>,
        depth: usize,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        let cause = self.cause.as_deref().filter(|_| depth > 1);
        let fields = [
            self.path.is_some(),
            self.method.is_some(),
            self.message.is_some(),
            cause.is_some(),
        ];
        out.map(fields.into_iter().map(u64::from).sum())?;
        if let Some(path) = &self.path {
            out.u8(1)?.str(path)?;
        }
        if let Some(method) = self.method {
            out.u8(2)?.u8(method as u8)?;
        }
        if let Some(message) = &self.message {
            out.u8(3)?.str(message)?;
        }
        if let Some(cause) = cause {
            out.u8(4)?;
            cause.put(out, depth - 1)?;
        }
        Ok(())
    }

    fn read(reader: &mut Reader<'_>, depth: usize) -> Result<Self, DecodeError> {
        let inner = depth.checked_sub(1).ok_or(DecodeError::TooDeep)?;
        let (mut path, mut method, mut message, mut cause) = (None, None, None, None);
        reader.entries(|reader, key| match key {
            1 => set_once(&mut path, "path", reader.text()?),
            2 => set_once(&mut method, "method", read_method(reader)?),
            3 => set_once(&mut message, "message", reader.text()?),
            4 => set_once(&mut cause, "cause", Self::read(reader, inner)?),
            _ => reader.skip(inner),
        })?;
        Ok(Self {
            path: path.map(String::from),
            method: method.flatten(),
            message: message.map(String::from),
            cause: cause.map(Box::new),
        })
    }
}

fn envelope(
    body: Option<&[u8]>,
    header: impl FnOnce(&mut Encoder<&mut Vec<u8>>) -> WriteResult,
) -> Vec<u8> {
    let mut content = written(header);
    content.extend_from_slice(body.unwrap_or_default());
    bare::encode_bytes(&content)
}

type WriteResult = Result<(), minicbor::encode::Error<core::convert::Infallible>>;

fn written(write: impl FnOnce(&mut Encoder<&mut Vec<u8>>) -> WriteResult) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut Encoder::new(&mut out)).expect("writing to memory cannot fail");
    out
}

fn number(reader: &mut Reader<'_>) -> Result<MessageId, DecodeError> {
    let id = u32::try_from(reader.uint()?)
        .map_err(|_| DecodeError::Unexpected("a number of 32 bits"))?;
    Ok(MessageId(id))
}

fn read_method(reader: &mut Reader<'_>) -> Result<Option<Method>, DecodeError> {
    let index = reader.uint()?;
    Ok(usize::try_from(index)
        .ok()
        .and_then(|index| Method::ALL.get(index).copied()))
}

fn read_status(reader: &mut Reader<'_>) -> Result<Option<Status>, DecodeError> {
    let code = reader.uint()?;
    Ok(Status::ALL
        .into_iter()
        .find(|status| u64::from(status.code()) == code))
}

fn body<'a>(reader: &Reader<'a>, has_body: Option<bool>) -> Result<Option<&'a [u8]>, DecodeError> {
    if has_body.ok_or(DecodeError::Missing("has_body"))? {
        return Ok(Some(reader.rest()));
    }
    reader.finish()?;
    Ok(None)
}
