//! What a datastore's items mean, for the rooms of the session: one place that asks `contact`.

use crate::contact::{Kind, Likeness, MatchRules, compare_items, identify};
use crate::message::{Change, Item, Meta};
use crate::store::Draft;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::borrow::Cow;

/// Content with what is known of it at a glance.
#[derive(Clone, Debug)]
pub(super) struct Content<'m> {
    /// Its media type, where it is not the book's own.
    pub media_type: Option<Cow<'m, str>>,
    /// Its bytes.
    pub bytes: Cow<'m, [u8]>,
    /// Its fingerprint.
    pub print: [u8; 16],
    /// Its match keys.
    pub keys: Vec<u64>,
}

impl<'m> Content<'m> {
    /// Looks at content once.
    pub(super) fn new(kind: Kind, media_type: Option<Cow<'m, str>>, bytes: Cow<'m, [u8]>) -> Self {
        let identity = identify(kind, &bytes);
        let keys = identity.keys.iter().map(|key| key.0).collect();
        Self { media_type, bytes, print: identity.fingerprint.0, keys }
    }

    /// As a store wants it.
    pub(super) fn into_draft(self) -> Draft<'m> {
        Draft {
            media_type: self.media_type,
            content: self.bytes,
            fingerprint: self.print,
            keys: Cow::Owned(self.keys),
            ..Draft::default()
        }
    }
}

/// Whether two items are alike enough to be one contact without a person's word (S7), or to be told apart for sure.
pub(super) fn likeness(kind: Kind, one: &[u8], other: &[u8]) -> Likeness {
    compare_items(kind, one, other, &MatchRules::default()).likeness
}

/// The value that Meta gives an item: its own, else the command's, else its Sync's (§2.1, element by element).
pub(super) fn scoped<'a, T>(
    item: &'a Item<'_>,
    change: &'a Change<'_>,
    sync: Option<&'a Meta<'_>>,
    pick: impl Fn(&'a Meta<'_>) -> Option<T>,
) -> Option<T> {
    item.meta.as_ref().and_then(&pick).or_else(|| change.meta.as_ref().and_then(&pick)).or_else(|| sync.and_then(&pick))
}

/// Undoes `Format b64`; any other format is taken as it is. `None` when it is no base64.
pub(super) fn unpack<'a>(format: Option<&str>, bytes: &'a [u8]) -> Option<Cow<'a, [u8]>> {
    match format {
        Some(format) if format.trim().eq_ignore_ascii_case("b64") => {
            let packed: Vec<u8> = bytes.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
            STANDARD.decode(packed).ok().map(Cow::Owned)
        }
        _ => Some(Cow::Borrowed(bytes)),
    }
}
