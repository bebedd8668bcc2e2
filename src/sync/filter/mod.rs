//! What a client wants to be sent (§3.16): which records, and which of their properties.
//!
//! Enters: `Filter` of an Alert, or what follows `?` in its Target (TAF of 1.x). Leaves: a [`Filter`] that can be asked of
//! an item, or the error with its status. A filter only ever decides what is sent to the one who asked; what is stored is
//! never less for it.

mod query;
#[cfg(test)]
mod tests;

use self::query::Query;
use crate::contact::card::{Card, decode_document};
use crate::contact::identity::Kind;
use crate::contact::lens::{Fields, NAMES};
use crate::message::{self, Op, StatusCode};
use crate::store::{ItemRow, MapRow, MapState};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

/// The media type of the grammar.
pub const GRAMMAR: &str = "syncml:filtertype-cgi";

/// Bytes of a list of properties at most.
const MAX_FIELDS: usize = 16_384;

/// What a filter means for records that do not match it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum FilterType {
    /// They are removed from the device. What is meant where nothing is said.
    #[default]
    Exclusive,
    /// Those that the device has stay there; no others come.
    Inclusive,
}

impl FilterType {
    /// Its name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exclusive => "EXCLUSIVE",
            Self::Inclusive => "INCLUSIVE",
        }
    }
}

/// Why a filter is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FilterError {
    /// A FilterType other than EXCLUSIVE and INCLUSIVE.
    #[error("the type of filter is not known")]
    Type,
    /// A grammar other than [`GRAMMAR`].
    #[error("the grammar of the filter is not known")]
    Grammar,
    /// The query breaks the grammar.
    #[error("the filter is malformed at byte {at}: {what}")]
    Malformed {
        /// Where in the query, in bytes.
        at: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// Something that items of this kind cannot be asked for.
    #[error("the filter asks for {0}, which items here cannot be asked for")]
    Keyword(String),
    /// Properties of items that have none that are known.
    #[error("items of this kind cannot be sent in part")]
    Fields,
    /// Beyond a limit: of what, and how much.
    #[error("the filter has more than {1} {0}")]
    TooLarge(&'static str, usize),
}

impl FilterError {
    /// What the wire gets (§3.16, §4).
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::Type | Self::Keyword(_) | Self::Fields | Self::TooLarge(..) => StatusCode::UNSUPPORTED_FEATURE,
            Self::Grammar => StatusCode::UNKNOWN_GRAMMAR,
            Self::Malformed { .. } => StatusCode::BAD_CGI,
        }
    }

    /// The feature that is missing, for the Status' Item.
    #[must_use]
    pub const fn feature(&self) -> &'static str {
        match self {
            Self::Type => "FilterType",
            _ => "Filter",
        }
    }
}

/// A filter of one datastore in one session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    record: Option<Query>,
    fields: Option<Fields>,
    filter_type: FilterType,
}

impl Filter {
    /// Builds a filter; `None` when neither records nor fields are chosen. An empty list of fields chooses nothing.
    ///
    /// # Errors
    /// What makes it unusable for items of this kind.
    pub fn new<'n>(
        kind: Kind,
        record: Option<&str>,
        fields: impl IntoIterator<Item = &'n str>,
        filter_type: FilterType,
    ) -> Result<Option<Self>, FilterError> {
        let record = record.map(|record| Query::parse(record, |name| is_askable(kind, name))).transpose()?;
        let mut fields = fields.into_iter().peekable();
        let fields = fields.peek().is_some().then(|| Fields::of_names(fields));
        if fields.is_some() && kind != Kind::Contact {
            return Err(FilterError::Fields);
        }
        Ok((record.is_some() || fields.is_some()).then_some(Self { record, fields, filter_type }))
    }

    /// Reads the filter of an Alert; `None` for one that chooses nothing, whatever else it says.
    ///
    /// # Errors
    /// What makes it unusable for items of this kind.
    pub fn of_alert(filter: &message::Filter<'_>, kind: Kind) -> Result<Option<Self>, FilterError> {
        if filter.record.is_none() && filter.field.is_none() {
            return Ok(None);
        }
        let filter_type = match filter.filter_type.as_deref().map(str::trim) {
            None | Some("") => FilterType::default(),
            Some(name) => [FilterType::Exclusive, FilterType::Inclusive]
                .into_iter()
                .find(|known| known.name().eq_ignore_ascii_case(name))
                .ok_or(FilterError::Type)?,
        };
        let malformed = |what| FilterError::Malformed { at: 0, what };
        let text = |item: &message::Item<'_>| item.data.as_ref().and_then(message::Data::as_str).map(str::to_owned);
        let record = match &filter.record {
            None => None,
            Some(item) => {
                let grammar = item.meta.as_ref().and_then(|meta| meta.media_type.as_deref()).unwrap_or(GRAMMAR);
                // S60 writes two colons.
                if !grammar.trim().replace("::", ":").eq_ignore_ascii_case(GRAMMAR) {
                    return Err(FilterError::Grammar);
                }
                Some(text(item).ok_or_else(|| malformed("there is no query"))?)
            }
        };
        let listed = match &filter.field {
            None => None,
            Some(item) => Some(text(item).ok_or_else(|| malformed("there is no list of properties"))?),
        };
        let names = match &listed {
            None => Vec::new(),
            Some(listed) if listed.len() > MAX_FIELDS => return Err(FilterError::TooLarge("bytes", MAX_FIELDS)),
            Some(listed) => property_names(listed).collect(),
        };
        if listed.is_some() && names.is_empty() {
            return Err(malformed("there is no property in the list"));
        }
        Self::new(kind, record.as_deref(), names, filter_type)
    }

    /// Reads what follows `?` in the address of an Alert's Target. Nothing is ever removed because of it: 1.x has no word
    /// for that. `None` for what is no filter, such as the parameters that some peers keep in their addresses.
    ///
    /// # Errors
    /// What makes it unusable for items of this kind.
    pub fn of_address(address: &str, kind: Kind) -> Result<Option<Self>, FilterError> {
        match address.split_once('?') {
            // Groups of options, as libsynthesis has them.
            Some((_, options)) if options.starts_with('/') => Err(FilterError::Keyword("options".to_owned())),
            Some((_, cgi)) if cgi.contains('&') && cgi.contains(';') => {
                Self::new(kind, Some(cgi), [], FilterType::Inclusive)
            }
            _ => Ok(None),
        }
    }

    /// The same records, and all their properties; `None` when that chooses nothing.
    pub(crate) fn of_records(self) -> Option<Self> {
        self.record.is_some().then_some(Self { fields: None, ..self })
    }

    /// The properties sent, where not all are.
    #[must_use]
    pub const fn fields(&self) -> Option<Fields> {
        self.fields
    }

    /// Whether an item is one of the records asked for. `luid` is what the device calls it.
    #[must_use]
    pub fn passes(&self, content: &[u8], luid: Option<&str>) -> bool {
        let Some(record) = &self.record else { return true };
        let content = decode_document(content);
        let card = Card::parse(&content).ok();
        record.holds(card.as_ref(), luid)
    }

    /// Whether what does not pass is removed from the device.
    #[must_use]
    pub fn removes(&self) -> bool {
        self.filter_type == FilterType::Exclusive
    }

    /// Tells filters apart: equal for equal ones only.
    #[must_use]
    pub fn digest(&self) -> Vec<u8> {
        // It is plain data and can always be written.
        Sha256::digest(serde_json::to_vec(self).unwrap_or_default()).to_vec()
    }
}

/// What items of a kind can be asked for by name.
fn is_askable(kind: Kind, name: &str) -> bool {
    kind == Kind::Contact
        && (name.len() > 2 && name.starts_with("X-") || NAMES.iter().any(|known| known.eq_ignore_ascii_case(name)))
}

/// The texts of all PropName elements, whatever their prefix.
fn property_names(listed: &str) -> impl Iterator<Item = &str> {
    listed.split('<').filter_map(|element| {
        let (tag, text) = element.split_once('>')?;
        let tag = tag.split(|char: char| char.is_ascii_whitespace()).next().unwrap_or_default();
        let local = tag.rsplit(':').next().unwrap_or_default();
        Some(text.trim()).filter(|text| local == "PropName" && !text.is_empty())
    })
}

/// What must be sent to a device because of a filter, or because it has another one than before, where
/// [`decide_outgoing`](super::decide_outgoing) says what would be sent without: `shown` is the item as this filter shows
/// it, `passes` whether it is one of the records asked for, and `wider` whether this filter shows properties that the one
/// did under which the entry was agreed.
#[must_use]
pub fn decide_filtered(
    filter: Option<&Filter>,
    shown: &ItemRow<'_>,
    entry: Option<&MapRow>,
    passes: bool,
    wider: bool,
) -> Option<Op> {
    let due = super::decide_outgoing(shown, entry);
    let removes = filter.is_some_and(Filter::removes);
    match (entry.map(|entry| entry.state), due) {
        // Nothing that does not pass comes to the device.
        (_, Some(Op::Add)) => due.filter(|_| passes),
        (Some(MapState::Live), due) if due != Some(Op::Delete) && !passes && removes => Some(Op::Delete),
        // It passes what it passed before, but now more of it is to be seen. Even where there is no more: what the device was not
        // shown to be gone it may have kept from the time before.
        (Some(MapState::Live), None) => (wider && !shown.deleted).then_some(Op::Replace),
        (_, due) => due,
    }
}
