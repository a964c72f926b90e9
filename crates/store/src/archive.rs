//! The file of a backup of a whole database.
//!
//! ```text
//! "OckamDB" | 1 | schema (4)                                 magic, version of this format, number of the last migration
//! 'T' | name | columns (2) | (kind | name)*                  a table: kind 'I', 'T' or 'B'
//! 'R' | value*                                               a row of that table, one value for each column
//! 'S' | name | last (8)                                      the last number that a table gave, if rows are gone
//! 'E'                                                        the end
//! checksum (32)
//!
//! name  = length (2) | UTF-8
//! value = 0 | 1, and if it is 1: an integer (8), or length (4) | bytes
//! ```
//!
//! Numbers are big endian. The checksum is SHA-256 over the checksum so far and the next 64 KiB, beginning with zeros: it tells
//! a file that was cut short or altered by accident, not one that somebody forged.
//!
//! **Invariants**: nothing of a file is believed before its checksum was found right; no length in it makes more memory be
//! taken than the file is long.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, SeekFrom, Write};
use std::path::Path;

use thiserror::Error;
use zeroize::Zeroizing;

use crate::sql::Value;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ColumnKind {
    Integer,
    Text,
    Blob,
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TableColumn {
    pub(crate) name: String,
    pub(crate) kind: ColumnKind,
}

/// What follows in a file.
pub(crate) enum Entry {
    Table {
        name: String,
        columns: Vec<TableColumn>,
    },
    Row(Vec<Value>),
    Sequence {
        table: String,
        last: i64,
    },
}

/// Why a file is no backup.
#[derive(Debug, Error)]
pub(crate) enum ArchiveError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("it is none")]
    Magic,
    #[error("its format is {0}, this program knows 1: use a newer version of ockam")]
    Version(u8),
    #[error("it was cut short or altered")]
    Checksum,
    #[error("its content is not what it should be")]
    Content,
}

/// Writes a file from its beginning to its end.
pub(crate) struct Writer<W: Write> {
    inner: W,
    sum: Checksum,
}

impl<W: Write> Writer<W> {
    pub(crate) fn new(inner: W, schema: i64) -> Result<Self, ArchiveError> {
        let mut writer = Self {
            inner,
            sum: Checksum::new(),
        };
        writer.put(MAGIC)?;
        writer.put(&[FORMAT])?;
        let schema = u32::try_from(schema).map_err(|_| ArchiveError::Content)?;
        writer.put(&schema.to_be_bytes())?;
        Ok(writer)
    }

    pub(crate) fn table(
        &mut self,
        name: &str,
        columns: &[TableColumn],
    ) -> Result<(), ArchiveError> {
        self.put(b"T")?;
        self.name(name)?;
        let count = u16::try_from(columns.len()).map_err(|_| ArchiveError::Content)?;
        self.put(&count.to_be_bytes())?;
        for column in columns {
            self.put(match column.kind {
                ColumnKind::Integer => b"I",
                ColumnKind::Text => b"T",
                ColumnKind::Blob => b"B",
            })?;
            self.name(&column.name)?;
        }
        Ok(())
    }

    pub(crate) fn row(&mut self, values: &[Value]) -> Result<(), ArchiveError> {
        self.put(b"R")?;
        for value in values {
            match value {
                Value::Integer(None) | Value::Text(None) | Value::Blob(None) => self.put(&[0])?,
                Value::Integer(Some(number)) => {
                    self.put(&[1])?;
                    self.put(&number.to_be_bytes())?;
                }
                Value::Text(Some(text)) => self.bytes(text.as_bytes())?,
                Value::Blob(Some(bytes)) => self.bytes(bytes)?,
            }
        }
        Ok(())
    }

    pub(crate) fn sequence(&mut self, table: &str, last: i64) -> Result<(), ArchiveError> {
        self.put(b"S")?;
        self.name(table)?;
        self.put(&last.to_be_bytes())
    }

    /// Writes the end and the checksum.
    pub(crate) fn finish(mut self) -> Result<W, ArchiveError> {
        self.put(b"E")?;
        let sum = self.sum.finish();
        self.inner.write_all(&sum)?;
        self.inner.flush()?;
        Ok(self.inner)
    }

    fn name(&mut self, name: &str) -> Result<(), ArchiveError> {
        let length = u16::try_from(name.len()).map_err(|_| ArchiveError::Content)?;
        self.put(&length.to_be_bytes())?;
        self.put(name.as_bytes())
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), ArchiveError> {
        let length = u32::try_from(bytes.len()).map_err(|_| ArchiveError::Content)?;
        self.put(&[1])?;
        self.put(&length.to_be_bytes())?;
        self.put(bytes)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), ArchiveError> {
        self.sum.add(bytes);
        self.inner.write_all(bytes)?;
        Ok(())
    }
}

/// Writes into a file, in larger pieces than it is given.
pub(crate) fn into_file(file: File, schema: i64) -> Result<Writer<BufWriter<File>>, ArchiveError> {
    Writer::new(BufWriter::with_capacity(CHUNK, file), schema)
}

/// Reads a file whose checksum is right.
pub(crate) struct Reader<R: Read> {
    inner: R,
    /// How much of it is left before the checksum.
    left: u64,
    /// Number of the last migration of the database it was made of.
    pub(crate) schema: i64,
    columns: Vec<TableColumn>,
}

/// Opens a file, and reads all of it once for its checksum.
pub(crate) fn open(path: &Path) -> Result<Reader<BufReader<File>>, ArchiveError> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    Reader::new(BufReader::with_capacity(CHUNK, file), length)
}

impl<R: Read + io::Seek> Reader<R> {
    pub(crate) fn new(mut inner: R, length: u64) -> Result<Self, ArchiveError> {
        let mut head = [0; HEAD];
        let content = length
            .checked_sub(SUM)
            .filter(|content| *content >= HEAD_LEN);
        inner
            .read_exact(head.get_mut(..MAGIC.len()).unwrap_or_default())
            .map_err(cut(ArchiveError::Magic))?;
        if !head.starts_with(MAGIC) {
            return Err(ArchiveError::Magic);
        }
        inner
            .read_exact(head.get_mut(MAGIC.len()..).unwrap_or_default())
            .map_err(cut(ArchiveError::Checksum))?;
        let [_, _, _, _, _, _, _, format, schema @ ..] = head;
        if format != FORMAT {
            return Err(ArchiveError::Version(format));
        }
        let content = content.ok_or(ArchiveError::Checksum)?;
        inner.seek(SeekFrom::Start(0))?;
        let mut sum = Checksum::new();
        let mut body = inner.by_ref().take(content);
        let mut chunk = Zeroizing::new(vec![0; CHUNK]);
        let mut summed: u64 = 0;
        loop {
            let count = body.read(&mut chunk)?;
            if count == 0 {
                break;
            }
            summed = summed.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
            sum.add(chunk.get(..count).unwrap_or_default());
        }
        let mut stored = [0; 32];
        inner
            .read_exact(&mut stored)
            .map_err(cut(ArchiveError::Checksum))?;
        if summed != content || sum.finish() != stored {
            return Err(ArchiveError::Checksum);
        }
        inner.seek(SeekFrom::Start(HEAD_LEN))?;
        Ok(Self {
            inner,
            left: content.saturating_sub(HEAD_LEN),
            schema: i64::from(u32::from_be_bytes(schema)),
            columns: Vec::new(),
        })
    }
}

impl<R: Read> Reader<R> {
    /// What follows; nothing behind the end.
    pub(crate) fn next(&mut self) -> Result<Option<Entry>, ArchiveError> {
        let [kind] = self.take()?;
        match kind {
            b'T' => {
                let name = self.name()?;
                let count = u16::from_be_bytes(self.take()?);
                self.columns.clear();
                for _ in 0..count {
                    let [kind] = self.take()?;
                    let kind = match kind {
                        b'I' => ColumnKind::Integer,
                        b'T' => ColumnKind::Text,
                        b'B' => ColumnKind::Blob,
                        _ => return Err(ArchiveError::Content),
                    };
                    let name = self.name()?;
                    self.columns.push(TableColumn { name, kind });
                }
                let columns = self.columns.clone();
                Ok(Some(Entry::Table { name, columns }))
            }
            b'R' => {
                let kinds: Vec<ColumnKind> =
                    self.columns.iter().map(|column| column.kind).collect();
                let values = kinds.into_iter().map(|kind| self.value(kind));
                Ok(Some(Entry::Row(values.collect::<Result<_, _>>()?)))
            }
            b'S' => {
                let table = self.name()?;
                let last = i64::from_be_bytes(self.take()?);
                Ok(Some(Entry::Sequence { table, last }))
            }
            b'E' if self.left == 0 => Ok(None),
            _ => Err(ArchiveError::Content),
        }
    }

    fn value(&mut self, kind: ColumnKind) -> Result<Value, ArchiveError> {
        let is_there = match self.take()? {
            [0] => false,
            [1] => true,
            _ => return Err(ArchiveError::Content),
        };
        Ok(match (kind, is_there) {
            (ColumnKind::Integer, false) => Value::Integer(None),
            (ColumnKind::Text, false) => Value::Text(None),
            (ColumnKind::Blob, false) => Value::Blob(None),
            (ColumnKind::Integer, true) => Value::Integer(Some(i64::from_be_bytes(self.take()?))),
            (ColumnKind::Text, true) => Value::Text(Some(self.text()?)),
            (ColumnKind::Blob, true) => {
                let length = u32::from_be_bytes(self.take()?);
                Value::Blob(Some(self.bytes(u64::from(length))?))
            }
        })
    }

    fn text(&mut self) -> Result<String, ArchiveError> {
        let length = u32::from_be_bytes(self.take()?);
        let bytes = self.bytes(u64::from(length))?;
        String::from_utf8(bytes).map_err(|_| ArchiveError::Content)
    }

    fn name(&mut self) -> Result<String, ArchiveError> {
        let length = u16::from_be_bytes(self.take()?);
        let bytes = self.bytes(u64::from(length))?;
        String::from_utf8(bytes).map_err(|_| ArchiveError::Content)
    }

    fn bytes(&mut self, length: u64) -> Result<Vec<u8>, ArchiveError> {
        self.left = self.left.checked_sub(length).ok_or(ArchiveError::Content)?;
        let length = usize::try_from(length).map_err(|_| ArchiveError::Content)?;
        let mut bytes = vec![0; length];
        self.inner.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], ArchiveError> {
        let length = u64::try_from(N).map_err(|_| ArchiveError::Content)?;
        self.left = self.left.checked_sub(length).ok_or(ArchiveError::Content)?;
        let mut bytes = [0; N];
        self.inner.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

/// Says of a file that ends too early what that means here.
fn cut(meaning: ArchiveError) -> impl FnOnce(io::Error) -> ArchiveError {
    move |error| match error.kind() {
        io::ErrorKind::UnexpectedEof => meaning,
        _ => ArchiveError::Io(error),
    }
}

/// The sum of what was added so far.
struct Checksum {
    sum: [u8; 32],
    chunk: Zeroizing<Vec<u8>>,
}

impl Checksum {
    fn new() -> Self {
        Self {
            sum: [0; 32],
            chunk: Zeroizing::new(Vec::with_capacity(CHUNK)),
        }
    }

    fn add(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = CHUNK.saturating_sub(self.chunk.len());
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.chunk.extend_from_slice(now);
            bytes = later;
            if self.chunk.len() == CHUNK {
                self.turn();
            }
        }
    }

    fn turn(&mut self) {
        self.sum = ockam_vault::fast().sha256(&[&self.sum, &self.chunk]);
        self.chunk.clear();
    }

    fn finish(&mut self) -> [u8; 32] {
        self.turn();
        self.sum
    }
}

const MAGIC: &[u8; 7] = b"OckamDB";
const FORMAT: u8 = 1;
const HEAD: usize = 12;
const HEAD_LEN: u64 = 12;
const SUM: u64 = 32;
const CHUNK: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn sample() -> Vec<u8> {
        let mut writer = Writer::new(Vec::new(), 7).unwrap();
        let columns = [
            ("id", ColumnKind::Integer),
            ("name", ColumnKind::Text),
            ("bytes", ColumnKind::Blob),
        ]
        .map(|(name, kind)| TableColumn {
            name: name.to_owned(),
            kind,
        });
        writer.table("thing", &columns).unwrap();
        let large = vec![7; 3 * CHUNK];
        let row = [Value::from(-1_i64), Value::from("ü"), Value::from(large)];
        writer.row(&row).unwrap();
        let row = [Value::Integer(None), Value::Text(None), Value::Blob(None)];
        writer.row(&row).unwrap();
        writer.sequence("thing", 9).unwrap();
        writer.finish().unwrap()
    }

    fn read(bytes: &[u8]) -> Result<Vec<String>, ArchiveError> {
        let length = u64::try_from(bytes.len()).unwrap();
        let mut reader = Reader::new(Cursor::new(bytes), length)?;
        let mut seen = vec![reader.schema.to_string()];
        while let Some(entry) = reader.next()? {
            seen.push(match entry {
                Entry::Table { name, columns } => format!("{name} {}", columns.len()),
                Entry::Row(values) => values
                    .iter()
                    .map(|value| match value {
                        Value::Integer(number) => format!("{number:?}"),
                        Value::Text(text) => format!("{text:?}"),
                        Value::Blob(bytes) => format!("{:?}", bytes.as_ref().map(Vec::len)),
                    })
                    .collect(),
                Entry::Sequence { table, last } => format!("{table} {last}"),
            });
        }
        Ok(seen)
    }

    #[test]
    fn what_was_written_is_read() {
        let expected = [
            "7",
            "thing 3",
            "Some(-1)Some(\"ü\")Some(196608)",
            "NoneNoneNone",
            "thing 9",
        ];
        assert_eq!(read(&sample()).unwrap(), expected);
    }

    #[test]
    fn a_file_that_was_cut_short_or_altered_is_refused_before_it_is_read() {
        let whole = sample();
        for length in (0..whole.len()).rev().step_by(997).chain(0..80) {
            let error = read(&whole[..length]).unwrap_err();
            let expected = matches!(error, ArchiveError::Checksum | ArchiveError::Magic);
            assert!(expected, "{length}: {error}");
        }
        for at in (0..whole.len())
            .step_by(503)
            .chain(whole.len() - 40..whole.len())
        {
            let mut altered = whole.clone();
            altered[at] ^= 1;
            assert!(read(&altered).is_err(), "{at}");
        }
        let mut longer = whole;
        longer.push(0);
        assert!(matches!(read(&longer), Err(ArchiveError::Checksum)));
    }

    /// Somebody may compute the checksum of whatever content.
    #[test]
    fn content_that_is_none_is_refused_without_panic_and_without_its_memory() {
        let sum = |content: &[u8]| {
            let mut sum = Checksum::new();
            sum.add(content);
            [content, &sum.finish()].concat()
        };
        let whole = sample();
        let content = &whole[..whole.len() - 32];
        assert!(read(&sum(content)).is_ok());
        // Lengths of four gibibytes in a file of a few bytes.
        let huge = [&content[..60.min(content.len())], &[0xff; 64]].concat();
        assert!(matches!(read(&sum(&huge)), Err(ArchiveError::Content)));
        let mut random = 1_u32;
        for _ in 0..2000 {
            let mut altered = content[..120].to_vec();
            for _ in 0..3 {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let at = 12 + usize::try_from(random >> 8).unwrap() % 108;
                altered[at] = u8::try_from(random >> 24).unwrap();
            }
            drop(read(&sum(&altered)));
        }
        for wrong in [
            &b"OckamDB\x01\0\0\0\x01"[..],
            b"OckamDB\x01\0\0\0\x01X",
            b"OckamDB\x01\0\0\0\x01EE",
        ] {
            assert!(matches!(read(&sum(wrong)), Err(ArchiveError::Content)));
        }
        assert!(matches!(
            read(&sum(b"OckamDB\x02\0\0\0\x01E")),
            Err(ArchiveError::Version(2))
        ));
    }
}
