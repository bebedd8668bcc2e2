//! Device information (DevInf, §3.19): what a device is and what its datastores can hold.

use super::masked::debug_masked;
use super::{Text, Version};

/// A `DevInf` document.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct DevInf<'a> {
    /// `VerDTD` as written.
    pub ver_dtd: Text<'a>,
    /// `Man`: manufacturer.
    pub man: Option<Text<'a>>,
    /// `Mod`: model.
    pub model: Option<Text<'a>>,
    /// `OEM`.
    pub oem: Option<Text<'a>>,
    /// `FwV`: firmware version.
    pub fwv: Option<Text<'a>>,
    /// `SwV`: software version.
    pub swv: Option<Text<'a>>,
    /// `HwV`: hardware version.
    pub hwv: Option<Text<'a>>,
    /// `DevID`.
    pub dev_id: Text<'a>,
    /// `DevTyp`: phone, pda, server, workstation …
    pub dev_type: Text<'a>,
    /// `UTC` (1.1): times in UTC are understood.
    pub utc: bool,
    /// `SupportLargeObjs` (1.1).
    pub large_objects: bool,
    /// `SupportNumberOfChanges` (1.1).
    pub number_of_changes: bool,
    /// `DataStore`, one or more; none is accepted.
    pub stores: Vec<DataStore<'a>>,
    /// `CTCap` of the document (1.0 and 1.1: one flat list for all datastores).
    pub content_caps: Vec<ContentCap<'a>>,
    /// `Ext`.
    pub extensions: Vec<Extension<'a>>,
}

debug_masked!(DevInf {
    ver_dtd, man, model, oem, fwv, swv, hwv, dev_type, utc, large_objects, number_of_changes, stores, content_caps,
    extensions
} masked { dev_id });

impl DevInf<'_> {
    /// The wire version, if `VerDTD` is one that exists.
    #[must_use]
    pub fn version(&self) -> Option<Version> {
        Version::from_dtd(&self.ver_dtd)
    }

    /// The same information, free of the message it came in.
    #[must_use]
    pub fn into_owned(self) -> DevInf<'static> {
        DevInf {
            ver_dtd: owned(self.ver_dtd),
            man: self.man.map(owned),
            model: self.model.map(owned),
            oem: self.oem.map(owned),
            fwv: self.fwv.map(owned),
            swv: self.swv.map(owned),
            hwv: self.hwv.map(owned),
            dev_id: owned(self.dev_id),
            dev_type: owned(self.dev_type),
            utc: self.utc,
            large_objects: self.large_objects,
            number_of_changes: self.number_of_changes,
            stores: each(self.stores, DataStore::into_owned),
            content_caps: each(self.content_caps, ContentCap::into_owned),
            extensions: each(self.extensions, |ext| Extension {
                name: owned(ext.name),
                values: each(ext.values, owned),
            }),
        }
    }
}

impl DataStore<'_> {
    fn into_owned(self) -> DataStore<'static> {
        DataStore {
            source_ref: owned(self.source_ref),
            display_name: self.display_name.map(owned),
            max_guid_size: self.max_guid_size,
            rx_pref: each(self.rx_pref, ContentType::into_owned),
            rx: each(self.rx, ContentType::into_owned),
            tx_pref: each(self.tx_pref, ContentType::into_owned),
            tx: each(self.tx, ContentType::into_owned),
            content_caps: each(self.content_caps, ContentCap::into_owned),
            memory: self.memory,
            hierarchical: self.hierarchical,
            sync_kinds: self.sync_kinds,
            filter_rx: each(self.filter_rx, ContentType::into_owned),
            filter_caps: each(self.filter_caps, |cap| FilterCap {
                content: cap.content.into_owned(),
                keywords: each(cap.keywords, owned),
                properties: each(cap.properties, owned),
            }),
        }
    }
}

impl ContentType<'_> {
    fn into_owned(self) -> ContentType<'static> {
        ContentType { media_type: owned(self.media_type), version: owned(self.version) }
    }
}

impl ContentCap<'_> {
    fn into_owned(self) -> ContentCap<'static> {
        ContentCap {
            media_type: owned(self.media_type),
            version: self.version.map(owned),
            field_level: self.field_level,
            properties: each(self.properties, |property| Property {
                name: owned(property.name),
                data_type: property.data_type.map(owned),
                max_occur: property.max_occur,
                max_size: property.max_size,
                no_truncate: property.no_truncate,
                values: each(property.values, owned),
                display_name: property.display_name.map(owned),
                params: each(property.params, |param| PropParam {
                    name: owned(param.name),
                    data_type: param.data_type.map(owned),
                    size: param.size,
                    values: each(param.values, owned),
                    display_name: param.display_name.map(owned),
                }),
            }),
        }
    }
}

fn owned(text: Text<'_>) -> Text<'static> {
    Text::Owned(text.into_owned())
}

fn each<T, U>(list: Vec<T>, f: impl FnMut(T) -> U) -> Vec<U> {
    list.into_iter().map(f).collect()
}

/// A content type and its version.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ContentType<'a> {
    /// `CTType`: the media type.
    pub media_type: Text<'a>,
    /// `VerCT`: its version, such as `2.1`.
    pub version: Text<'a>,
}

impl<'a> ContentType<'a> {
    /// A type with its version.
    #[must_use]
    pub fn new(media_type: impl Into<Text<'a>>, version: impl Into<Text<'a>>) -> Self {
        Self { media_type: media_type.into(), version: version.into() }
    }
}

/// `DataStore`.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct DataStore<'a> {
    /// `SourceRef`: the datastore's address at its owner.
    pub source_ref: Text<'a>,
    /// `DisplayName`.
    pub display_name: Option<Text<'a>>,
    /// `MaxGUIDSize` in bytes: the longest GUID the device can keep.
    pub max_guid_size: Option<u64>,
    /// `Rx-Pref`: preferred types to receive; the first counts.
    pub rx_pref: Vec<ContentType<'a>>,
    /// `Rx`: other types it receives.
    pub rx: Vec<ContentType<'a>>,
    /// `Tx-Pref`: preferred types to send; the first counts.
    pub tx_pref: Vec<ContentType<'a>>,
    /// `Tx`: other types it sends.
    pub tx: Vec<ContentType<'a>>,
    /// `CTCap` (1.2).
    pub content_caps: Vec<ContentCap<'a>>,
    /// `DSMem`.
    pub memory: Option<StoreMemory>,
    /// `SupportHierarchicalSync` (1.2).
    pub hierarchical: bool,
    /// `SyncCap/SyncType`.
    pub sync_kinds: Vec<SyncKind>,
    /// `Filter-Rx` (1.2).
    pub filter_rx: Vec<ContentType<'a>>,
    /// `FilterCap` (1.2).
    pub filter_caps: Vec<FilterCap<'a>>,
}

/// `DSMem`: memory of a datastore.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct StoreMemory {
    /// `SharedMem`.
    pub shared: bool,
    /// `MaxMem` in bytes.
    pub max_mem: Option<u64>,
    /// `MaxID`: the most items.
    pub max_id: Option<u64>,
}

/// `SyncType` of `SyncCap`: 1 to 7, and private numbers such as 390001, which are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SyncKind(pub u32);

impl SyncKind {
    /// Two-way.
    pub const TWO_WAY: Self = Self(1);
    /// Slow two-way.
    pub const SLOW: Self = Self(2);
    /// One-way from the client.
    pub const ONE_WAY_FROM_CLIENT: Self = Self(3);
    /// Refresh from the client.
    pub const REFRESH_FROM_CLIENT: Self = Self(4);
    /// One-way from the server.
    pub const ONE_WAY_FROM_SERVER: Self = Self(5);
    /// Refresh from the server.
    pub const REFRESH_FROM_SERVER: Self = Self(6);
    /// Alerted by the server.
    pub const SERVER_ALERTED: Self = Self(7);
}

/// `CTCap`: what the datastore holds of one content type. The flat list of 1.0 and 1.1 becomes the same structure.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ContentCap<'a> {
    /// `CTType`.
    pub media_type: Text<'a>,
    /// `VerCT` (1.2); the flat form has none.
    pub version: Option<Text<'a>>,
    /// `FieldLevel` (1.2): field-level Replace is understood.
    pub field_level: bool,
    /// `Property`, or what follows a `PropName` in the flat form.
    pub properties: Vec<Property<'a>>,
}

/// One property that a device can hold.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Property<'a> {
    /// `PropName`.
    pub name: Text<'a>,
    /// `DataType`.
    pub data_type: Option<Text<'a>>,
    /// `MaxOccur` (1.2).
    pub max_occur: Option<u64>,
    /// `MaxSize` (1.2) or `Size`, in bytes.
    pub max_size: Option<u64>,
    /// `NoTruncate` (1.2).
    pub no_truncate: bool,
    /// `ValEnum`.
    pub values: Vec<Text<'a>>,
    /// `DisplayName`.
    pub display_name: Option<Text<'a>>,
    /// `PropParam`, or `ParamName` in the flat form.
    pub params: Vec<PropParam<'a>>,
}

/// One parameter of a property.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct PropParam<'a> {
    /// `ParamName`.
    pub name: Text<'a>,
    /// `DataType`.
    pub data_type: Option<Text<'a>>,
    /// `Size` (1.0 and 1.1 only), in bytes.
    pub size: Option<u64>,
    /// `ValEnum`.
    pub values: Vec<Text<'a>>,
    /// `DisplayName`.
    pub display_name: Option<Text<'a>>,
}

/// `FilterCap` (1.2).
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct FilterCap<'a> {
    /// `CTType` and `VerCT`: the content that is filtered.
    pub content: ContentType<'a>,
    /// `FilterKeyword`.
    pub keywords: Vec<Text<'a>>,
    /// `PropName`.
    pub properties: Vec<Text<'a>>,
}

/// `Ext`: an extension.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Extension<'a> {
    /// `XNam`.
    pub name: Text<'a>,
    /// `XVal`.
    pub values: Vec<Text<'a>>,
}
