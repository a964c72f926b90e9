//! Enrollment tickets: what a new member is handed, namely a one-time code and whom to give it to.
//!
//! ```text
//! plain    project route , project identifier , project name , one-time code ,
//!          project history , authority history , authority route
//! hex      the plain form in hex
//! JSON     {"one_time_code", "project_route": {"id", "route"}, "project_identifier", ..}
//! legacy   hex of {"one_time_code", "project": {..}}
//! ```
//!
//! A ticket is a secret until it is used up: whoever has it can become the member it was made for. No error and no `Debug`
//! shows any of it.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use ockam_vault::Provider;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::history::VerifiedHistory;
use crate::identifier::IdentifierError;
use crate::one_time_code::OneTimeCode;
use crate::project::{MAX_PROJECT_LEN, ProjectDetails, ProjectError, VerifiedProject, given};

/// The most bytes a ticket may have in any of its forms.
pub const MAX_TICKET_LEN: usize = 2 * (MAX_PROJECT_LEN + 1024);

/// A one-time code and the project it admits to; the histories in it have been verified.
///
/// `spec: trust 7.7`
pub struct EnrollmentTicket {
    code: OneTimeCode,
    project: VerifiedProject,
    /// Of the authority; a project alone may lack one.
    authority: VerifiedHistory,
}

impl EnrollmentTicket {
    /// A ticket for this project.
    ///
    /// # Errors
    /// [`TicketError`] if the project lacks what a ticket needs, or has something the plain form cannot hold.
    pub fn new(code: OneTimeCode, project: VerifiedProject) -> Result<Self, TicketError> {
        let details = project.details();
        let authority = project
            .authority()
            .cloned()
            .ok_or(TicketError::Missing("authority_change_history"))?;
        let authority_route = project
            .authority_route()
            .ok_or(TicketError::Missing("authority_route"))?;
        for (what, text) in [
            ("project_route", details.access_route.as_str()),
            ("project_name", &details.name),
            ("authority_route", authority_route),
        ] {
            if text.len() > MAX_TEXT_LEN || text.contains(|c: char| c == ',' || c.is_control()) {
                return Err(TicketError::Text(what));
            }
        }
        let named = project_id(&details.access_route)?;
        if named != details.id {
            return Err(TicketError::OtherProject);
        }
        Ok(Self {
            code,
            project,
            authority,
        })
    }

    /// Reads a ticket in any of its forms.
    ///
    /// # Errors
    /// [`TicketError`] naming what is wrong, without any of the ticket.
    pub fn read(provider: &dyn Provider, text: &str) -> Result<Self, TicketError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(TicketError::Empty);
        }
        if text.len() > MAX_TICKET_LEN {
            return Err(TicketError::TooLarge);
        }
        let (code, details) = if text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            let bytes = Zeroizing::new(hex::decode(text).map_err(|_| TicketError::HalfByte)?);
            let text = core::str::from_utf8(&bytes).map_err(|_| TicketError::Unrecognised)?;
            read_text(text.trim())
        } else {
            read_text(text)
        }?;
        let project = details.verify(provider)?;
        Self::new(code, project)
    }

    /// Admits to the project, once.
    pub const fn one_time_code(&self) -> &OneTimeCode {
        &self.code
    }

    /// The project.
    pub const fn project(&self) -> &VerifiedProject {
        &self.project
    }

    /// The history of the authority that takes the code.
    pub const fn authority(&self) -> &VerifiedHistory {
        &self.authority
    }

    /// The ticket without its code.
    pub fn into_parts(self) -> (OneTimeCode, VerifiedProject) {
        (self.code, self.project)
    }

    /// The seven fields separated by commas.
    pub fn to_plain(&self) -> Zeroizing<String> {
        let details = self.project.details();
        let fields = [
            details.access_route.as_str(),
            &self.identifier(),
            &details.name,
            &Zeroizing::new(self.code.reveal()),
            &self.history(),
            &self.authority.to_hex(),
            self.project.authority_route().unwrap_or_default(),
        ];
        Zeroizing::new(fields.join(","))
    }

    /// The plain form in hex.
    pub fn to_hex(&self) -> Zeroizing<String> {
        Zeroizing::new(hex::encode(self.to_plain().as_bytes()))
    }

    /// The JSON form, without white space.
    pub fn to_json(&self) -> Zeroizing<String> {
        let details = self.project.details();
        written(&TicketJson {
            one_time_code: Some(Code::Reveal(&self.code)),
            project_route: Some(RouteJson {
                id: details.id.clone(),
                route: details.access_route.clone(),
            }),
            project_identifier: Some(self.identifier()),
            project_name: Some(details.name.clone()),
            project_change_history: Some(self.history()),
            authority_change_history: Some(self.authority.to_hex()),
            authority_route: self.project.authority_route().map(str::to_string),
            project: None,
        })
    }

    /// The form of earlier versions: JSON of code and project, in hex.
    pub fn to_legacy(&self) -> Zeroizing<String> {
        let json = written(&TicketJson {
            one_time_code: Some(Code::Reveal(&self.code)),
            project: Some(self.project.details().clone()),
            ..TicketJson::default()
        });
        Zeroizing::new(hex::encode(json.as_bytes()))
    }

    fn identifier(&self) -> String {
        self.project
            .identity()
            .map(ToString::to_string)
            .unwrap_or_default()
    }

    fn history(&self) -> String {
        self.project
            .history()
            .map(VerifiedHistory::to_hex)
            .unwrap_or_default()
    }
}

impl fmt::Debug for EnrollmentTicket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnrollmentTicket")
            .field("code", &self.code)
            .field("project", &self.project.details().id)
            .field("authority", self.authority.identifier())
            .finish()
    }
}

/// Why a ticket is not taken. Nothing of the ticket is in here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TicketError {
    /// There is nothing.
    #[error("it is empty")]
    Empty,
    /// There is more than is ever needed.
    #[error("it has more than {MAX_TICKET_LEN} bytes")]
    TooLarge,
    /// It is none of the forms.
    #[error("it is neither seven fields separated by commas, nor JSON, nor either of them in hex")]
    Unrecognised,
    /// It is hex with half a byte.
    #[error("it is hex with an odd number of digits; part of it is missing")]
    HalfByte,
    /// It has too few fields.
    #[error("it has {0} fields instead of seven; part of it is missing")]
    Fields(usize),
    /// It is not the JSON of a ticket.
    #[error("it is not the JSON of a ticket from line {line}, column {column} on")]
    Json {
        /// The line.
        line: usize,
        /// The column.
        column: usize,
    },
    /// A field is missing.
    #[error("it has no `{0}`")]
    Missing(&'static str),
    /// The one-time code is none.
    #[error("its one-time code is not one: that has 64 hex digits")]
    Code,
    /// The project's identifier is none.
    #[error("its project identifier is not one: {0}")]
    Identifier(#[from] IdentifierError),
    /// A text is too long or has characters that separate fields.
    #[error("its `{0}` is too long or has a comma or a control character")]
    Text(&'static str),
    /// The route to the project does not say which project it is.
    #[error("its project route has no `/service/` with the id of the project")]
    NoProject,
    /// The route leads to another project than is named.
    #[error("its project route leads to another project than the one it is for")]
    OtherProject,
    /// What it says of the project is not valid.
    #[error(transparent)]
    Project(#[from] ProjectError),
}

/// All forms of JSON in one: what is absent decides which it is.
#[derive(Default, Serialize, Deserialize)]
struct TicketJson<'a> {
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    one_time_code: Option<Code<'a>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    project_route: Option<RouteJson>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    project_identifier: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    project_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    project_change_history: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    authority_change_history: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    authority_route: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    project: Option<ProjectDetails>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct RouteJson {
    id: String,
    route: String,
}

/// The code as JSON text; it is written from where it is and read into where it stays.
enum Code<'a> {
    Reveal(&'a OneTimeCode),
    Read(OneTimeCode),
    /// Something that is no code.
    Invalid,
}

impl Serialize for Code<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Reveal(code) => serializer.serialize_str(&Zeroizing::new(code.reveal())),
            Self::Read(_) | Self::Invalid => serializer.serialize_none(),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Code<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Option<OneTimeCode>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a one-time code")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(text.parse().ok())
            }
        }
        Ok(deserializer
            .deserialize_str(Visitor)?
            .map_or(Self::Invalid, Self::Read))
    }
}

/// The order of readers is that of the published program: the legacy form, JSON, fields. `spec: trust 7.7`
fn read_text(text: &str) -> Result<(OneTimeCode, ProjectDetails), TicketError> {
    if text.starts_with('{') {
        read_json(text)
    } else {
        read_plain(text)
    }
}

fn read_json(text: &str) -> Result<(OneTimeCode, ProjectDetails), TicketError> {
    // What the reader of JSON has to say may quote the ticket, so only the place is told.
    let json: TicketJson<'_> = serde_json::from_str(text).map_err(|error| TicketError::Json {
        line: error.line(),
        column: error.column(),
    })?;
    let code = match json.one_time_code {
        None => return Err(TicketError::Missing("one_time_code")),
        Some(Code::Read(code)) => code,
        Some(_) => return Err(TicketError::Code),
    };
    if let Some(project) = json.project {
        return Ok((code, project));
    }
    let route = json
        .project_route
        .ok_or(TicketError::Missing("project_route"))?;
    let details = ProjectDetails {
        id: route.id,
        name: json
            .project_name
            .ok_or(TicketError::Missing("project_name"))?,
        access_route: route.route,
        identity: given(json.project_identifier.as_deref())
            .map(str::parse)
            .transpose()?,
        project_change_history: json.project_change_history,
        authority_identity: json.authority_change_history,
        authority_access_route: json.authority_route,
        ..ProjectDetails::default()
    };
    Ok((code, details))
}

fn read_plain(text: &str) -> Result<(OneTimeCode, ProjectDetails), TicketError> {
    let fields: Vec<&str> = text.splitn(FIELDS + 1, ',').map(str::trim).collect();
    let [
        project_route,
        identifier,
        name,
        code,
        history,
        authority,
        authority_route,
        ..,
    ] = fields.as_slice()
    else {
        return Err(if fields.len() == 1 {
            TicketError::Unrecognised
        } else {
            TicketError::Fields(fields.len())
        });
    };
    let text = |text: &&str| given(Some(text)).map(str::to_string);
    let details = ProjectDetails {
        id: project_id(project_route)?.to_string(),
        name: name.to_string(),
        access_route: project_route.to_string(),
        identity: given(Some(identifier)).map(str::parse).transpose()?,
        project_change_history: text(history),
        authority_identity: text(authority),
        authority_access_route: text(authority_route),
        ..ProjectDetails::default()
    };
    let code = code.parse().map_err(|_| TicketError::Code)?;
    Ok((code, details))
}

/// The id of the project a route leads to: its first service.
fn project_id(route: &str) -> Result<&str, TicketError> {
    let mut parts = route.strip_prefix('/').unwrap_or_default().split('/');
    while let (Some(protocol), Some(value)) = (parts.next(), parts.next()) {
        if protocol == "service" && !value.is_empty() {
            return Ok(value);
        }
    }
    Err(TicketError::NoProject)
}

fn written(json: &TicketJson<'_>) -> Zeroizing<String> {
    Zeroizing::new(serde_json::to_string(json).expect("its keys are text"))
}

const FIELDS: usize = 7;

/// The most bytes of a name or route.
const MAX_TEXT_LEN: usize = 4096;
