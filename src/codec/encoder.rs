//! Writing messages: at once, or command by command up to a size.

use super::encoding::Encoding;
use super::error::EncodeError;
use super::tag::Tag;
use super::write::{Sink as _, Writer};
use super::{wbxml, xml};
use crate::message::{Change, Command, Data, DevInf, Header, Item, Message, Sync, Version};

type Result<T> = std::result::Result<T, EncodeError>;

/// Writes a whole message, in the version that its header names (1.2 if it names none that exists).
///
/// # Errors
/// What the encoding or the version cannot carry; see [`EncodeError`].
pub fn encode(message: &Message<'_>, encoding: Encoding) -> Result<Vec<u8>> {
    let version = message.header.version().unwrap_or(Version::V12);
    let mut encoder = Encoder::new(encoding, version, &message.header, Options::default())?;
    for command in &message.body {
        encoder.command(command)?;
    }
    Ok(encoder.finish(message.last))
}

/// Writes a command apart from any message, for [`Encoder::raw`].
///
/// # Errors
/// As [`encode`].
pub fn encode_command(command: &Command<'_>, encoding: Encoding, version: Version) -> Result<Vec<u8>> {
    let mut sink = AnySink::new(encoding, Options::default());
    sink.command(command, version)?;
    sink.settle();
    Ok(sink.into_bytes())
}

/// Writes device information as a document that stands alone, with `VerDTD` of `version`.
///
/// # Errors
/// As [`encode`].
pub fn encode_devinf(devinf: &DevInf<'_>, version: Version, encoding: Encoding) -> Result<Vec<u8>> {
    match encoding {
        Encoding::Xml => {
            let mut sink = xml::Sink::new(DataStyle::default());
            sink.devinf_document(devinf, version)?;
            Ok(sink.out)
        }
        Encoding::Wbxml => wbxml::Sink::devinf_document(devinf, version),
    }
}

/// How an item's data is quoted in XML.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum DataStyle {
    /// In a CDATA section if it has markup or line breaks, which survive there as they are.
    #[default]
    Cdata,
    /// With references; a carriage return becomes `&#13;`.
    Escaped,
}

/// What peers differ in and no version rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// How data is quoted in XML.
    pub style: DataStyle,
    /// Whether the root says its namespace in XML. It must; some phones of 1.0 fail on it (§1.1).
    pub namespace: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { style: DataStyle::Cdata, namespace: true }
    }
}

impl Options {
    /// The same with another style.
    #[must_use]
    pub const fn with_style(mut self, style: DataStyle) -> Self {
        self.style = style;
        self
    }

    /// The same with or without the namespace of the root.
    #[must_use]
    pub const fn with_namespace(mut self, namespace: bool) -> Self {
        self.namespace = namespace;
        self
    }
}

/// A message that is written command by command. At any time [`Encoder::len_if_closed`] is exactly what it would weigh,
/// and a [`Checkpoint`] leads back.
///
/// A call that fails leaves no trace: the encoder stands where it stood before.
pub struct Encoder {
    sink: AnySink,
    version: Version,
    /// Between [`Encoder::open_sync`] and [`Encoder::close_sync`].
    in_sync: bool,
}

/// A place in a message to go back to.
#[derive(Clone, Copy, Debug)]
pub struct Checkpoint {
    length: usize,
    page: u8,
    in_sync: bool,
}

impl Encoder {
    /// Begins a message: everything up to and including the header.
    ///
    /// # Errors
    /// A header that XML cannot carry.
    pub fn new(encoding: Encoding, version: Version, header: &Header<'_>, options: Options) -> Result<Self> {
        let mut sink = AnySink::new(encoding, options);
        sink.begin(version, header, options)?;
        Ok(Self { sink, version, in_sync: false })
    }

    /// Adds a command, to the open Sync if there is one, else to the body.
    ///
    /// # Errors
    /// What the encoding or the version cannot carry.
    pub fn command(&mut self, command: &Command<'_>) -> Result<()> {
        let version = self.version;
        if let Command::Sync(sync) = command {
            self.sink.reserve(sync.commands.iter().map(roughly).sum());
        }
        self.or_nothing(|sink| sink.command(command, version))
    }

    /// Adds a change, to the open Sync if there is one, else to the body.
    ///
    /// # Errors
    /// What the encoding or the version cannot carry.
    pub fn change(&mut self, change: &Change<'_>) -> Result<()> {
        let version = self.version;
        self.or_nothing(|sink| sink.change(change, version))
    }

    /// Begins a Sync. Its commands are not written: they follow one by one.
    ///
    /// # Errors
    /// A Sync is open already; what the encoding cannot carry.
    pub fn open_sync(&mut self, sync: &Sync<'_>) -> Result<()> {
        if self.in_sync {
            return Err(EncodeError::Misuse("has an open Sync already"));
        }
        let version = self.version;
        self.or_nothing(|sink| sink.open_sync(sync, version))?;
        self.in_sync = true;
        Ok(())
    }

    /// Ends the open Sync, if there is one.
    pub fn close_sync(&mut self) {
        if std::mem::take(&mut self.in_sync) {
            self.sink.end(Tag::Sync);
        }
    }

    /// Adds a command written earlier by [`encode_command`] for the same encoding and version.
    pub fn raw(&mut self, command: &[u8]) {
        self.sink.settle();
        self.sink.extend(command);
    }

    /// The place reached.
    #[must_use]
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint { length: self.sink.len(), page: self.sink.page(), in_sync: self.in_sync }
    }

    /// Goes back to a place reached earlier: everything after it is gone.
    pub fn rollback(&mut self, checkpoint: Checkpoint) {
        self.sink.truncate(checkpoint.length, checkpoint.page);
        self.in_sync = checkpoint.in_sync;
    }

    /// The exact size in bytes of the message if it were finished now, with or without `Final`.
    #[must_use]
    pub fn len_if_closed(&self, last: bool) -> usize {
        self.sink.len() + self.sink.closing(self.in_sync, last)
    }

    /// Ends the message, with `Final` if it is the `last` of its package.
    #[must_use]
    pub fn finish(mut self, last: bool) -> Vec<u8> {
        self.close_sync();
        if last {
            self.sink.empty(Tag::Final);
        }
        self.sink.end(Tag::SyncBody);
        self.sink.end(Tag::SyncML);
        self.sink.into_bytes()
    }

    /// Writes all of something or nothing.
    fn or_nothing(&mut self, write: impl FnOnce(&mut AnySink) -> Result<()>) -> Result<()> {
        let checkpoint = self.checkpoint();
        let result = write(&mut self.sink);
        if result.is_err() {
            self.rollback(checkpoint);
        }
        result
    }
}

/// About the size of a change, so that a Sync is not copied again and again while it grows.
fn roughly(command: &Command<'_>) -> usize {
    let Command::Change(change) = command else { return 0 };
    let data = |item: &Item<'_>| item.data.as_ref().and_then(Data::as_bytes).map_or(0, <[u8]>::len);
    128 + change.items.iter().map(|item| 128 + data(item)).sum::<usize>()
}

/// One of the two encodings.
enum AnySink {
    Xml(xml::Sink),
    Wbxml(wbxml::Sink),
}

/// Does the same with either.
macro_rules! either {
    ($any:expr, $sink:ident => $do:expr) => {
        match $any {
            AnySink::Xml($sink) => $do,
            AnySink::Wbxml($sink) => $do,
        }
    };
}

impl AnySink {
    const fn new(encoding: Encoding, options: Options) -> Self {
        match encoding {
            Encoding::Xml => Self::Xml(xml::Sink::new(options.style)),
            Encoding::Wbxml => Self::Wbxml(wbxml::Sink::new()),
        }
    }

    fn begin(&mut self, version: Version, header: &Header<'_>, options: Options) -> Result<()> {
        either!(self, sink => {
            sink.begin_message(version, options);
            Writer { sink, version }.header(header)?;
        });
        either!(self, sink => sink.start(Tag::SyncBody));
        Ok(())
    }

    fn command(&mut self, command: &Command<'_>, version: Version) -> Result<()> {
        either!(self, sink => Writer { sink, version }.command(command))
    }

    fn change(&mut self, change: &Change<'_>, version: Version) -> Result<()> {
        either!(self, sink => Writer { sink, version }.change(change))
    }

    fn open_sync(&mut self, sync: &Sync<'_>, version: Version) -> Result<()> {
        either!(self, sink => Writer { sink, version }.open_sync(sync))
    }

    fn reserve(&mut self, bytes: usize) {
        either!(self, sink => sink.out.reserve(bytes));
    }

    fn end(&mut self, tag: Tag) {
        either!(self, sink => sink.end(tag));
    }

    fn empty(&mut self, tag: Tag) {
        either!(self, sink => sink.empty(tag));
    }

    fn len(&self) -> usize {
        either!(self, sink => sink.out.len())
    }

    const fn page(&self) -> u8 {
        match self {
            Self::Xml(_) => 0,
            Self::Wbxml(sink) => sink.page,
        }
    }

    /// Back to the code page that a command apart begins and ends with.
    fn settle(&mut self) {
        if let Self::Wbxml(sink) = self {
            sink.turn_to(0);
        }
    }

    fn extend(&mut self, bytes: &[u8]) {
        either!(self, sink => sink.out.extend_from_slice(bytes));
    }

    fn truncate(&mut self, length: usize, page: u8) {
        either!(self, sink => sink.out.truncate(length));
        if let Self::Wbxml(sink) = self {
            sink.page = page;
        }
    }

    /// What the ends of the open elements weigh.
    fn closing(&self, in_sync: bool, last: bool) -> usize {
        match self {
            Self::Xml(_) => {
                let close = |condition: bool, text: usize| if condition { text } else { 0 };
                close(in_sync, Tag::Sync.close().len())
                    + close(last, Tag::Final.close().len())
                    + Tag::SyncBody.close().len()
                    + Tag::SyncML.close().len()
            }
            Self::Wbxml(sink) => {
                let switch = if sink.page == 0 { 0 } else { 2 };
                usize::from(in_sync) + if last { switch + 1 } else { 0 } + 2
            }
        }
    }

    fn into_bytes(self) -> Vec<u8> {
        either!(self, sink => sink.out)
    }
}
