//! Meta information (MetInf, §2.1): what stands around data and headers.

use super::Text;
use super::masked::debug_masked;

/// The content of `Meta`, wherever it stands. Scoping is element by element (§2.1): an item's Meta overrides its
/// command's, which overrides its Sync's.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Meta<'a> {
    /// `FieldLevel` (1.2): the data holds changed properties only.
    pub field_level: bool,
    /// `Format`: how the data is written (`chr` when absent, `b64`, `bin`, `xml` …).
    pub format: Option<Text<'a>>,
    /// `Type`: the media type, or the name of an authentication scheme.
    pub media_type: Option<Text<'a>>,
    /// `Mark`: draft, final, delete, undelete, read, unread.
    pub mark: Option<Text<'a>>,
    /// `Size` in bytes of the whole object.
    pub size: Option<u64>,
    /// Sync anchors.
    pub anchor: Option<Anchor<'a>>,
    /// `Version`: the item's revision.
    pub version: Option<Text<'a>>,
    /// `NextNonce`, base64 as in XML, whatever the encoding carried (§7.6).
    pub next_nonce: Option<Text<'a>>,
    /// `MaxMsgSize` in bytes: the largest message the sender of this Meta accepts.
    pub max_msg_size: Option<u64>,
    /// `MaxObjSize` in bytes: the largest object the sender of this Meta accepts.
    pub max_obj_size: Option<u64>,
    /// `EMI`: extensions, such as `datapos=N`.
    pub emi: Vec<Text<'a>>,
    /// Memory of a datastore.
    pub mem: Option<Mem>,
}

debug_masked!(Meta {
    field_level, format, media_type, mark, size, anchor, version, max_msg_size, max_obj_size, emi, mem
} masked { next_nonce });

impl<'a> Meta<'a> {
    /// Meta that says only the media type.
    #[must_use]
    pub fn of_type(media_type: impl Into<Text<'a>>) -> Self {
        Self { media_type: Some(media_type.into()), ..Self::default() }
    }

    /// This Meta within the scope of an outer one: what it does not say itself, that says (§2.1: element by element).
    #[must_use]
    pub fn within(self, outer: &Self) -> Self {
        Self {
            field_level: self.field_level || outer.field_level,
            format: self.format.or_else(|| outer.format.clone()),
            media_type: self.media_type.or_else(|| outer.media_type.clone()),
            mark: self.mark.or_else(|| outer.mark.clone()),
            size: self.size.or(outer.size),
            anchor: self.anchor.or_else(|| outer.anchor.clone()),
            version: self.version.or_else(|| outer.version.clone()),
            next_nonce: self.next_nonce.or_else(|| outer.next_nonce.clone()),
            max_msg_size: self.max_msg_size.or(outer.max_msg_size),
            max_obj_size: self.max_obj_size.or(outer.max_obj_size),
            emi: if self.emi.is_empty() { outer.emi.clone() } else { self.emi },
            mem: self.mem.or(outer.mem),
        }
    }

    /// Whether nothing is said.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        matches!(
            self,
            Self {
                field_level: false,
                format: None,
                media_type: None,
                mark: None,
                size: None,
                anchor: None,
                version: None,
                next_nonce: None,
                max_msg_size: None,
                max_obj_size: None,
                mem: None,
                emi,
            } if emi.is_empty()
        )
    }
}

/// Sync anchors (§3.3): opaque texts, compared byte for byte.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Anchor<'a> {
    /// `Last`: the sender's anchor of the previous sync; absent or empty before the first.
    pub last: Option<Text<'a>>,
    /// `Next`: the sender's anchor of this sync.
    pub next: Text<'a>,
}

/// Free memory of a datastore (§3.18).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Mem {
    /// `SharedMem`: the memory is shared with other datastores.
    pub shared: bool,
    /// `FreeMem` in bytes.
    pub free_mem: u64,
    /// `FreeID`: items that still fit.
    pub free_id: u64,
}
