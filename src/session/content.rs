//! What a datastore's items mean, for the rooms of the session: one place that asks `contact`.

use crate::contact::identity::{Kind, Likeness, MatchRules, compare_items, identify, shares_strong_key};
use crate::contact::{card, diff, merge};
use crate::message::{Change, Item, Meta};
use crate::store::{Blob, Draft, Guid, ItemRow, Result, RevisionRow, Tx};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::borrow::Cow;

/// Content with what is known of it at a glance.
#[derive(Clone, Debug)]
pub(super) struct Content<'m> {
    /// Its media type, where it is not the book's own.
    pub media_type: Option<Cow<'m, str>>,
    /// Its bytes; of large content that is in the store already, the beginning.
    pub bytes: Cow<'m, [u8]>,
    /// Where large content is, if it is in the store already.
    pub blob: Option<Blob>,
    /// Its fingerprint.
    pub print: [u8; 16],
    /// Its match keys.
    pub keys: Vec<u64>,
    /// Where it is.
    pub folder: Folder,
}

/// Where a peer says an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) enum Folder {
    /// It does not say: a peer or a book without folders.
    #[default]
    Unsaid,
    /// In this one; nothing is the root.
    Is(Option<Guid>),
}

impl Folder {
    /// Whether an item there would have to be moved.
    pub(super) fn differs(self, parent: Option<Guid>) -> bool {
        matches!(self, Self::Is(said) if said != parent)
    }
}

impl<'m> Content<'m> {
    /// Looks at content once.
    pub(super) fn new(kind: Kind, media_type: Option<Cow<'m, str>>, bytes: Cow<'m, [u8]>) -> Self {
        let identity = identify(kind, &bytes);
        let keys = identity.keys.into_iter().map(|key| key.0).collect();
        Self { media_type, bytes, blob: None, print: identity.fingerprint.0, keys, folder: Folder::Unsaid }
    }

    /// That of an item.
    pub(super) fn of(item: &ItemRow<'m>) -> Self {
        Self {
            media_type: item.media_type.clone(),
            bytes: item.content.clone(),
            blob: item.blob,
            print: item.fingerprint,
            keys: item.keys.to_vec(),
            folder: Folder::Unsaid,
        }
    }

    /// That of an item as it was.
    pub(super) fn of_revision(tx: &mut dyn Tx, kind: Kind, row: RevisionRow) -> Result<Self> {
        let content = Self::new(kind, row.media_type.map(Cow::Owned), Cow::Owned(row.content));
        let whole = match row.blob {
            Some(blob) => tx.blob(blob.no)?,
            None => None,
        };
        Ok(Self { blob: row.blob, print: whole.map_or(content.print, |whole| whole.print), ..content })
    }

    /// Its length in bytes, all of large content.
    pub(super) fn len(&self) -> u64 {
        self.blob.map_or(self.bytes.len() as u64, |blob| blob.len)
    }

    /// The same, elsewhere.
    pub(super) fn at(self, parent: Option<Guid>) -> Self {
        Self { folder: Folder::Is(parent), ..self }
    }

    /// As a store wants it.
    pub(super) fn into_draft(self) -> Draft<'m> {
        Draft {
            media_type: self.media_type,
            content: self.bytes,
            blob: self.blob,
            fingerprint: self.print,
            keys: Cow::Owned(self.keys),
            ..Draft::default()
        }
    }
}

/// Whether two items are alike enough to be one contact without a person's word (S7). Of large content there is only the
/// beginning to be seen: it must have a name in common.
pub(super) fn is_twin(kind: Kind, item: &ItemRow<'_>, content: &Content<'_>) -> bool {
    if item.blob.is_some() || content.blob.is_some() {
        return shares_strong_key(kind, &item.content, &content.bytes);
    }
    let likeness = compare_items(kind, &item.content, &content.bytes, &MatchRules::default()).likeness;
    matches!(likeness, Likeness::Equal | Likeness::Strong)
}

/// The value that Meta gives an item: its own, else the command's, else what is around that (§2.1, element by element).
pub(super) fn scoped<'a, T>(
    item: &'a Item<'_>,
    change: &'a Change<'_>,
    around: Option<&'a Meta<'_>>,
    pick: impl Fn(&'a Meta<'_>) -> Option<T>,
) -> Option<T> {
    item.meta
        .as_ref()
        .and_then(&pick)
        .or_else(|| change.meta.as_ref().and_then(&pick))
        .or_else(|| around.and_then(&pick))
}

/// Whether a Format says base64.
pub(super) fn is_b64(format: Option<&str>) -> bool {
    format.is_some_and(|format| format.trim().eq_ignore_ascii_case("b64"))
}

/// Undoes `Format b64`; any other format is taken as it is. `None` when it is no base64.
pub(super) fn unpack<'a>(format: Option<&str>, bytes: &'a [u8]) -> Option<Cow<'a, [u8]>> {
    if !is_b64(format) {
        return Some(Cow::Borrowed(bytes));
    }
    let packed: Vec<u8> = bytes.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    STANDARD.decode(packed).ok().map(Cow::Owned)
}

/// An item as a peer wants it: its media type and its bytes, in the version the peer asked for, with CRLF line ends
/// where the format has lines (field note 36).
pub(super) fn render<'i>(
    kind: Kind,
    item: &'i ItemRow<'_>,
    wanted: Option<&(String, String)>,
) -> (Cow<'static, str>, Cow<'i, [u8]>) {
    let own = |fallback: &'static str| match (&item.media_type, wanted) {
        (Some(own), _) => Cow::Owned(own.clone().into_owned()),
        (None, Some((wanted, _))) => Cow::Owned(wanted.clone()),
        (None, None) => Cow::Borrowed(fallback),
    };
    match kind {
        // Large content goes as it is.
        Kind::Calendar | Kind::Task if item.blob.is_some() => (own("text/calendar"), Cow::Borrowed(&*item.content)),
        Kind::Bookmark if item.blob.is_some() => (own("text/x-vbookmark"), Cow::Borrowed(&*item.content)),
        Kind::Contact => render_card(&item.content, wanted),
        Kind::Calendar | Kind::Task => (own("text/calendar"), with_crlf(&item.content)),
        Kind::Note => (own("text/plain"), Cow::Borrowed(&*item.content)),
        Kind::Bookmark => (own("text/x-vbookmark"), with_crlf(&item.content)),
        _ => (own("application/octet-stream"), Cow::Borrowed(&*item.content)),
    }
}

fn render_card<'i>(content: &'i [u8], wanted: Option<&(String, String)>) -> (Cow<'static, str>, Cow<'i, [u8]>) {
    let media_type = |version| if version == card::Version::V2_1 { "text/x-vcard" } else { "text/vcard" };
    let decoded = card::decode_document(content);
    let rendered = card::version_of(&decoded).and_then(|own| {
        let wanted = wanted.and_then(|(media_type, version)| wanted_version(media_type, version));
        let version = wanted.unwrap_or(own);
        let bytes = if version == own && matches!(decoded, Cow::Borrowed(_)) {
            with_crlf(content)
        } else {
            Cow::Owned(card::convert(&card::Card::parse(&decoded)?, version))
        };
        Ok((Cow::Borrowed(media_type(version)), bytes))
    });
    rendered.unwrap_or((Cow::Borrowed("text/x-vcard"), Cow::Borrowed(content)))
}

fn wanted_version(media_type: &str, version: &str) -> Option<card::Version> {
    match version.trim() {
        "2.1" => Some(card::Version::V2_1),
        "3.0" => Some(card::Version::V3_0),
        "4.0" => Some(card::Version::V4_0),
        _ if media_type.eq_ignore_ascii_case("text/x-vcard") => Some(card::Version::V2_1),
        _ => None,
    }
}

fn with_crlf(content: &[u8]) -> Cow<'_, [u8]> {
    let bare = |before: u8, byte: u8| (byte == b'\n') & (before != b'\r');
    // To the end without a branch, several bytes at a time: most cards have none.
    let inside = content.windows(2).fold(false, |found, pair| found | bare(pair[0], pair[1]));
    if !inside && content.first() != Some(&b'\n') {
        return Cow::Borrowed(content);
    }
    let mut out = Vec::with_capacity(content.len() + content.len() / 32);
    for (before, &byte) in std::iter::once(0).chain(content.iter().copied()).zip(content) {
        if bare(before, byte) {
            out.push(b'\r');
        }
        out.push(byte);
    }
    Cow::Owned(out)
}

/// The merge of what is here with what a peer told, where the kind can be merged: three ways against what both last
/// agreed on, or, where they never did, the union. Where only one value can be, the peer's stands; ours is in history. If that
/// was so anywhere, also the names of the fields; none where nothing can be merged and the peer's stands as a whole.
pub(super) fn merged<'m>(
    kind: Kind,
    base: Option<&[u8]>,
    here: &[u8],
    told: &ItemRow<'m>,
) -> (Content<'m>, Option<Vec<String>>) {
    let merged = match (kind, base) {
        (Kind::Contact, Some(base)) => merge::merge3(base, here, &told.content, merge::Prefer::Incoming),
        (Kind::Contact, None) => longer_union(here, &told.content),
        _ => None,
    };
    match merged {
        Some(merged) => {
            let fields: Vec<String> = merged.conflicts.into_iter().map(|conflict| conflict.property).collect();
            let content = Content::new(kind, told.media_type.clone(), Cow::Owned(merged.content));
            (content, Some(fields).filter(|fields| !fields.is_empty()))
        }
        None => (Content::of(told), Some(Vec::new())),
    }
}

/// The names of the fields in which a card that loses as a whole differs from the one that stands, of those in which it also
/// differs from what was agreed on. None of large content, and of what is no card.
pub(super) fn lost_fields(kind: Kind, base: Option<&[u8]>, loser: &Content<'_>, winner: &Content<'_>) -> Vec<String> {
    if kind != Kind::Contact || loser.blob.is_some() || winner.blob.is_some() {
        return Vec::new();
    }
    let names = |one: &[u8]| -> Option<Vec<String>> {
        Some(diff::diff(one, &loser.bytes)?.into_iter().map(|difference| difference.property).collect())
    };
    let changed = base.and_then(names);
    let mut fields = names(&winner.bytes).unwrap_or_default();
    fields.retain(|field| changed.as_ref().is_none_or(|changed| changed.contains(field)));
    fields
}

/// The union, the peer's first; but where all in which it differs from ours is ours cut short, ours is the card (row 25).
fn longer_union(here: &[u8], told: &[u8]) -> Option<merge::Merged> {
    let theirs = merge::union(told, here)?;
    if theirs.conflicts.is_empty() {
        return Some(theirs);
    }
    let decoded = (card::decode_document(here), card::decode_document(told));
    let (whole, cut) = (card::Card::parse(&decoded.0).ok()?, card::Card::parse(&decoded.1).ok()?);
    let is_cut = |conflict: &merge::Conflict| match (whole.text(&conflict.property), cut.text(&conflict.property)) {
        (Some(whole), Some(cut)) => !cut.is_empty() && whole.starts_with(&*cut),
        _ => false,
    };
    match merge::union(here, told).filter(|ours| ours.conflicts.iter().all(is_cut)) {
        Some(ours) => Some(merge::Merged { conflicts: Vec::new(), ..ours }),
        None => Some(theirs),
    }
}

#[cfg(test)]
mod tests {
    use super::{unpack, with_crlf};

    #[test]
    fn row36_lines_end_in_crlf() {
        for (content, expected) in [
            (&b"a\nb\n"[..], &b"a\r\nb\r\n"[..]),
            (b"a\r\nb\n", b"a\r\nb\r\n"),
            (b"\n", b"\r\n"),
            (b"", b""),
            (b"a\r\nb", b"a\r\nb"),
        ] {
            assert_eq!(&*with_crlf(content), expected);
        }
    }

    #[test]
    fn base64_is_undone_only_where_it_is_declared() {
        assert_eq!(unpack(Some("b64"), b"aGVs\r\nbG8=").as_deref(), Some(&b"hello"[..]));
        assert_eq!(unpack(Some("b64"), b"!"), None);
        assert_eq!(unpack(Some("chr"), b"aGVsbG8=").as_deref(), Some(&b"aGVsbG8="[..]));
        assert_eq!(unpack(None, b"aGVsbG8=").as_deref(), Some(&b"aGVsbG8="[..]));
    }
}
