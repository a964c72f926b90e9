//! Bodies of withdrawal notices. `spec: extensions 4.5`

use ockam_identity::{Identifier, UnixTime};
use ockam_wire::DecodeError;
use ockam_wire::cbor::set_once;

use super::members::INNER;
use super::{MessageError, encode, identifier, whole};

/// How many withdrawals one message holds at most.
pub const MAX_WITHDRAWALS: usize = 256;

/// Identifies one run of the service: places in the order of withdrawals mean nothing in another.
pub type Run = [u8; 16];

/// Asks what was withdrawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Question {
    /// The run that the position belongs to; none if nothing is known yet.
    pub run: Option<Run>,
    /// Up to where everything is known.
    pub position: u64,
}

impl Question {
    /// The encoded body.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode(|out| {
            out.map(1 + u64::from(self.run.is_some()))?;
            if let Some(run) = &self.run {
                out.u8(1)?.bytes(run)?;
            }
            out.u8(2)?.u64(self.position)?.ok()
        })
    }

    /// Reads the body.
    ///
    /// # Errors
    /// It is something else.
    pub fn decode(body: &[u8]) -> Result<Self, MessageError> {
        whole(body, |reader| {
            let (mut run, mut position) = (None, None);
            reader.entries(|reader, key| match key {
                1 => Ok(set_once(&mut run, "run", read_run(reader.bytes()?)?)?),
                2 => Ok(set_once(&mut position, "position", reader.uint()?)?),
                _ => Ok::<(), MessageError>(reader.skip(INNER)?),
            })?;
            Ok(Self {
                run,
                position: position.ok_or(DecodeError::Missing("position"))?,
            })
        })
    }
}

/// What was withdrawn between two places in the order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notices {
    /// The run that the places belong to.
    pub run: Run,
    /// They begin behind this place.
    pub after: u64,
    /// They end with this one.
    pub upto: u64,
    /// Subjects, and the moment before which their credentials were created that are void.
    pub withdrawn: Vec<(Identifier, UnixTime)>,
    /// Whether there are more, to be asked for.
    pub more: bool,
}

impl Notices {
    /// The encoded body.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode(|out| {
            out.map(5)?.u8(1)?.bytes(&self.run)?;
            out.u8(2)?.u64(self.after)?.u8(3)?.u64(self.upto)?;
            out.u8(4)?.array(self.withdrawn.len() as u64)?;
            for (subject, before) in &self.withdrawn {
                out.array(2)?.bytes(subject.as_bytes())?.u64(before.0)?;
            }
            out.u8(5)?.bool(self.more)?.ok()
        })
    }

    /// Reads the body.
    ///
    /// # Errors
    /// It is something else, or holds more than [`MAX_WITHDRAWALS`].
    pub fn decode(body: &[u8]) -> Result<Self, MessageError> {
        whole(body, |reader| {
            let (mut run, mut after, mut upto, mut withdrawn, mut more) =
                (None, None, None, None, None);
            reader.entries(|reader, key| match key {
                1 => Ok(set_once(&mut run, "run", read_run(reader.bytes()?)?)?),
                2 => Ok(set_once(&mut after, "after", reader.uint()?)?),
                3 => Ok(set_once(&mut upto, "upto", reader.uint()?)?),
                4 => {
                    let mut list = Vec::new();
                    let mut count = reader.array()?;
                    while reader.more(&mut count)? {
                        if list.len() == MAX_WITHDRAWALS {
                            return Err(DecodeError::Unexpected("fewer withdrawals").into());
                        }
                        let mut fields = reader.array()?;
                        let mut field = |reader: &mut _| -> Result<(), DecodeError> {
                            if ockam_wire::cbor::Reader::more(reader, &mut fields)? {
                                Ok(())
                            } else {
                                Err(DecodeError::Missing("withdrawal"))
                            }
                        };
                        field(reader)?;
                        let subject = identifier(reader)?;
                        field(reader)?;
                        list.push((subject, UnixTime(reader.uint()?)));
                        while reader.more(&mut fields)? {
                            reader.skip(INNER)?;
                        }
                    }
                    Ok(set_once(&mut withdrawn, "withdrawn", list)?)
                }
                5 => Ok(set_once(&mut more, "more", reader.bool()?)?),
                _ => Ok::<(), MessageError>(reader.skip(INNER)?),
            })?;
            Ok(Self {
                run: run.ok_or(DecodeError::Missing("run"))?,
                after: after.ok_or(DecodeError::Missing("after"))?,
                upto: upto.ok_or(DecodeError::Missing("upto"))?,
                withdrawn: withdrawn.ok_or(DecodeError::Missing("withdrawn"))?,
                more: more.ok_or(DecodeError::Missing("more"))?,
            })
        })
    }
}

fn read_run(bytes: &[u8]) -> Result<Run, DecodeError> {
    bytes
        .try_into()
        .map_err(|_| DecodeError::Unexpected("16 bytes"))
}
