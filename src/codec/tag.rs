//! The vocabulary: every element of SyncML, MetInf and DevInf, with its name and its tokens (§7.3–§7.5).
//!
//! Elements of the same name in two vocabularies are one [`Tag`]: where it stands says which is meant, and peers are not
//! careful with namespaces.

/// An element. `Unknown` stands for all the others.
macro_rules! tags {
    ($($variant:ident $name:literal $syncml:literal $metinf:literal $devinf:literal;)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        #[allow(clippy::upper_case_acronyms)] // the names are the specification's
        pub(super) enum Tag { $($variant,)* Unknown }

        /// All rows, in the order of the enumeration.
        const ROWS: &[Row] = &[$(Row {
            tag: Tag::$variant,
            name: $name,
            open: concat!("<", $name, ">"),
            close: concat!("</", $name, ">"),
            tokens: [$syncml, $metinf, $devinf],
        },)*];
    };
}

struct Row {
    tag: Tag,
    name: &'static str,
    open: &'static str,
    close: &'static str,
    /// The token in each [`Page`]; 0 if it has none there.
    tokens: [u8; 3],
}

/// The vocabularies. In a message the first two are the WBXML code pages 0 and 1; a DevInf document has the third as
/// its page 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Page {
    SyncMl = 0,
    MetInf = 1,
    DevInf = 2,
}

tags! {
    // variant, name, token in SyncML, in MetInf, in DevInf
    Add "Add" 0x05 0x00 0x00;
    Alert "Alert" 0x06 0x00 0x00;
    Archive "Archive" 0x07 0x00 0x00;
    Atomic "Atomic" 0x08 0x00 0x00;
    Chal "Chal" 0x09 0x00 0x00;
    Cmd "Cmd" 0x0a 0x00 0x00;
    CmdID "CmdID" 0x0b 0x00 0x00;
    CmdRef "CmdRef" 0x0c 0x00 0x00;
    Copy "Copy" 0x0d 0x00 0x00;
    Cred "Cred" 0x0e 0x00 0x00;
    Data "Data" 0x0f 0x00 0x00;
    Delete "Delete" 0x10 0x00 0x00;
    Exec "Exec" 0x11 0x00 0x00;
    Final "Final" 0x12 0x00 0x00;
    Get "Get" 0x13 0x00 0x00;
    Item "Item" 0x14 0x00 0x00;
    Lang "Lang" 0x15 0x00 0x00;
    LocName "LocName" 0x16 0x00 0x00;
    LocURI "LocURI" 0x17 0x00 0x00;
    Map "Map" 0x18 0x00 0x00;
    MapItem "MapItem" 0x19 0x00 0x00;
    Meta "Meta" 0x1a 0x00 0x00;
    MsgID "MsgID" 0x1b 0x00 0x00;
    MsgRef "MsgRef" 0x1c 0x00 0x00;
    NoResp "NoResp" 0x1d 0x00 0x00;
    NoResults "NoResults" 0x1e 0x00 0x00;
    Put "Put" 0x1f 0x00 0x00;
    Replace "Replace" 0x20 0x00 0x00;
    RespURI "RespURI" 0x21 0x00 0x00;
    Results "Results" 0x22 0x00 0x00;
    Search "Search" 0x23 0x00 0x00;
    Sequence "Sequence" 0x24 0x00 0x00;
    SessionID "SessionID" 0x25 0x00 0x00;
    SftDel "SftDel" 0x26 0x00 0x00;
    Source "Source" 0x27 0x00 0x00;
    SourceRef "SourceRef" 0x28 0x00 0x1d;
    Status "Status" 0x29 0x00 0x00;
    Sync "Sync" 0x2a 0x00 0x00;
    SyncBody "SyncBody" 0x2b 0x00 0x00;
    SyncHdr "SyncHdr" 0x2c 0x00 0x00;
    SyncML "SyncML" 0x2d 0x00 0x00;
    Target "Target" 0x2e 0x00 0x00;
    TargetRef "TargetRef" 0x2f 0x00 0x00;
    VerDTD "VerDTD" 0x31 0x00 0x25;
    VerProto "VerProto" 0x32 0x00 0x00;
    NumberOfChanges "NumberOfChanges" 0x33 0x00 0x00;
    MoreData "MoreData" 0x34 0x00 0x00;
    Field "Field" 0x35 0x00 0x00;
    Filter "Filter" 0x36 0x00 0x00;
    Record "Record" 0x37 0x00 0x00;
    FilterType "FilterType" 0x38 0x00 0x00;
    SourceParent "SourceParent" 0x39 0x00 0x00;
    TargetParent "TargetParent" 0x3a 0x00 0x00;
    Move "Move" 0x3b 0x00 0x00;
    Correlator "Correlator" 0x3c 0x00 0x00;
    Anchor "Anchor" 0x00 0x05 0x00;
    EMI "EMI" 0x00 0x06 0x00;
    Format "Format" 0x00 0x07 0x00;
    FreeID "FreeID" 0x00 0x08 0x00;
    FreeMem "FreeMem" 0x00 0x09 0x00;
    Last "Last" 0x00 0x0a 0x00;
    Mark "Mark" 0x00 0x0b 0x00;
    MaxMsgSize "MaxMsgSize" 0x00 0x0c 0x00;
    Mem "Mem" 0x00 0x0d 0x00;
    MetInf "MetInf" 0x00 0x0e 0x00;
    Next "Next" 0x00 0x0f 0x00;
    NextNonce "NextNonce" 0x00 0x10 0x00;
    SharedMem "SharedMem" 0x00 0x11 0x1b;
    Size "Size" 0x00 0x12 0x1c;
    Type "Type" 0x00 0x13 0x00;
    Version "Version" 0x00 0x14 0x00;
    MaxObjSize "MaxObjSize" 0x00 0x15 0x00;
    FieldLevel "FieldLevel" 0x00 0x16 0x33;
    CTCap "CTCap" 0x00 0x00 0x05;
    CTType "CTType" 0x00 0x00 0x06;
    DataStore "DataStore" 0x00 0x00 0x07;
    DataType "DataType" 0x00 0x00 0x08;
    DevID "DevID" 0x00 0x00 0x09;
    DevInf "DevInf" 0x00 0x00 0x0a;
    DevTyp "DevTyp" 0x00 0x00 0x0b;
    DisplayName "DisplayName" 0x00 0x00 0x0c;
    DSMem "DSMem" 0x00 0x00 0x0d;
    Ext "Ext" 0x00 0x00 0x0e;
    FwV "FwV" 0x00 0x00 0x0f;
    HwV "HwV" 0x00 0x00 0x10;
    Man "Man" 0x00 0x00 0x11;
    MaxGUIDSize "MaxGUIDSize" 0x00 0x00 0x12;
    MaxID "MaxID" 0x00 0x00 0x13;
    MaxMem "MaxMem" 0x00 0x00 0x14;
    Mod "Mod" 0x00 0x00 0x15;
    OEM "OEM" 0x00 0x00 0x16;
    ParamName "ParamName" 0x00 0x00 0x17;
    PropName "PropName" 0x00 0x00 0x18;
    Rx "Rx" 0x00 0x00 0x19;
    RxPref "Rx-Pref" 0x00 0x00 0x1a;
    MaxSize "MaxSize" 0x00 0x00 0x1c;
    SwV "SwV" 0x00 0x00 0x1e;
    SyncCap "SyncCap" 0x00 0x00 0x1f;
    SyncType "SyncType" 0x00 0x00 0x20;
    Tx "Tx" 0x00 0x00 0x21;
    TxPref "Tx-Pref" 0x00 0x00 0x22;
    ValEnum "ValEnum" 0x00 0x00 0x23;
    VerCT "VerCT" 0x00 0x00 0x24;
    XNam "XNam" 0x00 0x00 0x26;
    XVal "XVal" 0x00 0x00 0x27;
    UTC "UTC" 0x00 0x00 0x28;
    SupportNumberOfChanges "SupportNumberOfChanges" 0x00 0x00 0x29;
    SupportLargeObjs "SupportLargeObjs" 0x00 0x00 0x2a;
    Property "Property" 0x00 0x00 0x2b;
    PropParam "PropParam" 0x00 0x00 0x2c;
    MaxOccur "MaxOccur" 0x00 0x00 0x2d;
    NoTruncate "NoTruncate" 0x00 0x00 0x2e;
    FilterRx "Filter-Rx" 0x00 0x00 0x30;
    FilterCap "FilterCap" 0x00 0x00 0x31;
    FilterKeyword "FilterKeyword" 0x00 0x00 0x32;
    SupportHierarchicalSync "SupportHierarchicalSync" 0x00 0x00 0x34;
}

impl Tag {
    /// The name on the wire.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "an unknown element",
            _ => ROWS[self as usize].name,
        }
    }

    /// `<Name>`. Not for `Unknown`, which is never written.
    #[inline]
    pub(super) const fn open(self) -> &'static str {
        ROWS[self as usize].open
    }

    /// `</Name>`. Not for `Unknown`, which is never written.
    #[inline]
    pub(super) const fn close(self) -> &'static str {
        ROWS[self as usize].close
    }

    /// The element of that local name.
    #[inline]
    pub(super) fn from_name(name: &[u8]) -> Self {
        let Some(&row) = BY_NAME.get(hash(name)) else { return Self::Unknown };
        match ROWS.get(row as usize) {
            Some(row) if row.name.as_bytes() == name => row.tag,
            _ => Self::Unknown,
        }
    }

    /// The element of that token.
    #[inline]
    pub(super) const fn from_token(page: Page, token: u8) -> Self {
        BY_TOKEN[page as usize][(token & 0x3F) as usize]
    }

    /// The code page (0 or 1) and token in a message.
    #[inline]
    pub(super) const fn message_token(self) -> (u8, u8) {
        let tokens = ROWS[self as usize].tokens;
        if tokens[0] != 0 { (0, tokens[0]) } else { (1, tokens[1]) }
    }

    /// The token in a DevInf document.
    #[inline]
    pub(super) const fn devinf_token(self) -> u8 {
        ROWS[self as usize].tokens[2]
    }

    /// Whether the element stands directly in `Meta`, so that in XML it has to say its namespace.
    #[inline]
    pub(super) const fn is_meta(self) -> bool {
        !matches!(self, Self::Last | Self::Next | Self::SharedMem | Self::FreeMem | Self::FreeID)
            && matches!(self.message_token(), (1, 1..))
    }
}

const SLOTS: usize = 1024;

/// Five properties of a name, weighted so that no two names meet; the build fails if they do.
#[inline]
const fn hash(name: &[u8]) -> usize {
    let length = name.len();
    if length < 2 {
        return SLOTS;
    }
    (length * 114
        + name[0] as usize * 530
        + name[length / 2] as usize * 465
        + name[length - 1] as usize * 84
        + name[1] as usize * 935)
        % SLOTS
}

static BY_NAME: [u8; SLOTS] = {
    let mut slots = [u8::MAX; SLOTS];
    let mut row = 0;
    while row < ROWS.len() {
        assert!(ROWS[row].tag as usize == row);
        let slot = hash(ROWS[row].name.as_bytes());
        assert!(slots[slot] == u8::MAX);
        slots[slot] = row as u8;
        row += 1;
    }
    slots
};

static BY_TOKEN: [[Tag; 64]; 3] = {
    let mut pages = [[Tag::Unknown; 64]; 3];
    let mut page = 0;
    while page < 3 {
        let mut row = 0;
        while row < ROWS.len() {
            let token = ROWS[row].tokens[page] as usize;
            if token != 0 && !(page == Page::DevInf as usize && matches!(ROWS[row].tag, Tag::Size)) {
                assert!(matches!(pages[page][token], Tag::Unknown));
                pages[page][token] = ROWS[row].tag;
            }
            row += 1;
        }
        page += 1;
    }
    pages
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_tokens_lead_back_to_their_element() {
        for row in ROWS {
            assert_eq!(Tag::from_name(row.name.as_bytes()), row.tag);
            for (page, token) in [Page::SyncMl, Page::MetInf, Page::DevInf].into_iter().zip(row.tokens) {
                let tag = Tag::from_token(page, token);
                match (row.tag, page) {
                    _ if token == 0 => assert_eq!(tag, Tag::Unknown),
                    // Size (≤ 1.1) and MaxSize (1.2) share a token.
                    (Tag::Size, Page::DevInf) => assert_eq!(tag, Tag::MaxSize),
                    _ => assert_eq!(tag, row.tag),
                }
            }
        }
        for name in ["", "A", "add", "Addd", "Foo", "DevInf11"] {
            assert_eq!(Tag::from_name(name.as_bytes()), Tag::Unknown, "{name}");
        }
        for (page, token) in [(Page::SyncMl, 0x30), (Page::SyncMl, 0x3D), (Page::MetInf, 0x17), (Page::DevInf, 0x2F)] {
            assert_eq!(Tag::from_token(page, token), Tag::Unknown);
        }
    }

    #[test]
    fn tokens_are_those_of_the_reference() {
        for (tag, page, token) in [
            (Tag::Add, 0, 0x05),
            (Tag::SyncML, 0, 0x2D),
            (Tag::Correlator, 0, 0x3C),
            (Tag::Anchor, 1, 0x05),
            (Tag::NextNonce, 1, 0x10),
            (Tag::FieldLevel, 1, 0x16),
            (Tag::Size, 1, 0x12),
        ] {
            assert_eq!(tag.message_token(), (page, token), "{tag:?}");
        }
        for (tag, token) in [(Tag::DevInf, 0x0A), (Tag::FilterRx, 0x30), (Tag::Size, 0x1C), (Tag::MaxSize, 0x1C)] {
            assert_eq!(tag.devinf_token(), token, "{tag:?}");
        }
    }
}
