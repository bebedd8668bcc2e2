//! What can be wrong with a file of contacts.

/// Why a file of contacts, or one record of it, cannot be used. Nothing of the contents is quoted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InterchangeError {
    /// The file cannot be read or written.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// A record that is left out; those after it can be read.
    #[error("line {line}: {what}")]
    Record {
        /// The line on which it begins, from 1.
        line: u64,
        /// What is wrong with it.
        what: String,
    },
    /// Nothing after this line can be read.
    #[error("line {line}: {what}; nothing after it can be read")]
    Broken {
        /// The line, from 1.
        line: u64,
        /// What is wrong.
        what: String,
    },
    /// The file as a whole is of no use.
    #[error("{0}")]
    Unusable(String),
}

impl InterchangeError {
    /// Whether what follows can be read all the same.
    #[must_use]
    pub const fn is_of_one_record(&self) -> bool {
        matches!(self, Self::Record { .. })
    }

    pub(super) fn record(line: u64, what: impl Into<String>) -> Self {
        Self::Record { line, what: what.into() }
    }

    pub(super) fn broken(line: u64, what: impl Into<String>) -> Self {
        Self::Broken { line, what: what.into() }
    }
}

/// What this room's functions give.
pub type Result<T> = std::result::Result<T, InterchangeError>;

/// How much of a file is taken. Checked before memory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of one record: a row, a card, an entry. Default 16 MiB.
    pub record: usize,
    /// Columns of a table. Default 1,024.
    pub columns: usize,
    /// Rows of a sheet. Default 1,048,576, which is what spreadsheets have.
    pub rows: u64,
    /// Bytes of files that have to be read as a whole (HTML, jCard), and of such parts of documents, unpacked. Default 64 MiB.
    pub whole: usize,
    /// Bytes of a sheet, unpacked. Default 1 GiB.
    pub unpacked: u64,
    /// Correspondents that a text is searched for. Default 100,000.
    pub people: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { record: 16 << 20, columns: 1024, rows: 1 << 20, whole: 64 << 20, unpacked: 1 << 30, people: 100_000 }
    }
}
