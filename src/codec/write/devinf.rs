//! Device information (§3.19). What devices can hold is written where the version wants it: in each datastore (1.2), or
//! in one flat list behind them all (1.0 and 1.1).

use super::{Result, Sink};
use crate::codec::tag::Tag;
use crate::message::{ContentCap, ContentType, DataStore, DevInf, PropParam, Property, Version};

/// The children of `DevInf`.
pub(in crate::codec) fn devinf<S: Sink>(s: &mut S, devinf: &DevInf<'_>, version: Version) -> Result {
    s.text(Tag::VerDTD, version.dtd())?;
    for (tag, text) in [
        (Tag::Man, &devinf.man),
        (Tag::Mod, &devinf.model),
        (Tag::OEM, &devinf.oem),
        (Tag::FwV, &devinf.fwv),
        (Tag::SwV, &devinf.swv),
        (Tag::HwV, &devinf.hwv),
    ] {
        optional(s, tag, text.as_deref())?;
    }
    s.text(Tag::DevID, &devinf.dev_id)?;
    s.text(Tag::DevTyp, &devinf.dev_type)?;
    if version >= Version::V11 {
        flag(s, Tag::UTC, devinf.utc);
        flag(s, Tag::SupportLargeObjs, devinf.large_objects);
        flag(s, Tag::SupportNumberOfChanges, devinf.number_of_changes);
    }
    for store in &devinf.stores {
        self::store(s, store, &devinf.content_caps, version)?;
    }
    if version < Version::V12 {
        flat_caps(s, devinf)?;
    }
    for extension in &devinf.extensions {
        s.start(Tag::Ext);
        s.text(Tag::XNam, &extension.name)?;
        for value in &extension.values {
            s.text(Tag::XVal, value)?;
        }
        s.end(Tag::Ext);
    }
    Ok(())
}

fn store<S: Sink>(s: &mut S, store: &DataStore<'_>, shared: &[ContentCap<'_>], version: Version) -> Result {
    s.start(Tag::DataStore);
    s.text(Tag::SourceRef, &store.source_ref)?;
    optional(s, Tag::DisplayName, store.display_name.as_deref())?;
    number(s, Tag::MaxGUIDSize, store.max_guid_size)?;
    for (tag, types) in
        [(Tag::RxPref, &store.rx_pref), (Tag::Rx, &store.rx), (Tag::TxPref, &store.tx_pref), (Tag::Tx, &store.tx)]
    {
        content_types(s, tag, types)?;
    }
    if version >= Version::V12 {
        let own = |cap: &&ContentCap<'_>| {
            content_type_of(store, cap).is_some()
                && !store.content_caps.iter().any(|other| other.media_type == cap.media_type)
        };
        for cap in store.content_caps.iter().chain(shared.iter().filter(own)) {
            content_cap(s, cap, store)?;
        }
    }
    if let Some(memory) = &store.memory {
        s.start(Tag::DSMem);
        flag(s, Tag::SharedMem, memory.shared);
        number(s, Tag::MaxMem, memory.max_mem)?;
        number(s, Tag::MaxID, memory.max_id)?;
        s.end(Tag::DSMem);
    }
    flag(s, Tag::SupportHierarchicalSync, store.hierarchical && version >= Version::V12);
    s.start(Tag::SyncCap);
    for kind in &store.sync_kinds {
        s.number(Tag::SyncType, kind.0.into())?;
    }
    s.end(Tag::SyncCap);
    if version >= Version::V12 {
        content_types(s, Tag::FilterRx, &store.filter_rx)?;
        for cap in &store.filter_caps {
            s.start(Tag::FilterCap);
            s.text(Tag::CTType, &cap.content.media_type)?;
            s.text(Tag::VerCT, &cap.content.version)?;
            for keyword in &cap.keywords {
                s.text(Tag::FilterKeyword, keyword)?;
            }
            for property in &cap.properties {
                s.text(Tag::PropName, property)?;
            }
            s.end(Tag::FilterCap);
        }
    }
    s.end(Tag::DataStore);
    Ok(())
}

/// The type among those that the datastore exchanges.
fn content_type_of<'d, 'a>(store: &'d DataStore<'a>, cap: &ContentCap<'_>) -> Option<&'d ContentType<'a>> {
    let all = [&store.rx_pref, &store.rx, &store.tx_pref, &store.tx];
    all.into_iter().flatten().find(|content_type| content_type.media_type == cap.media_type)
}

/// `CTCap` of 1.2. One that came from a flat list has no version: the datastore knows it.
fn content_cap<S: Sink>(s: &mut S, cap: &ContentCap<'_>, store: &DataStore<'_>) -> Result {
    s.start(Tag::CTCap);
    s.text(Tag::CTType, &cap.media_type)?;
    let version = cap.version.as_deref().or_else(|| content_type_of(store, cap).map(|known| &*known.version));
    s.text(Tag::VerCT, version.unwrap_or_default())?;
    flag(s, Tag::FieldLevel, cap.field_level);
    for property in &cap.properties {
        s.start(Tag::Property);
        s.text(Tag::PropName, &property.name)?;
        optional(s, Tag::DataType, property.data_type.as_deref())?;
        number(s, Tag::MaxOccur, property.max_occur)?;
        number(s, Tag::MaxSize, property.max_size)?;
        flag(s, Tag::NoTruncate, property.no_truncate);
        for value in &property.values {
            s.text(Tag::ValEnum, value)?;
        }
        optional(s, Tag::DisplayName, property.display_name.as_deref())?;
        for param in &property.params {
            s.start(Tag::PropParam);
            s.text(Tag::ParamName, &param.name)?;
            optional(s, Tag::DataType, param.data_type.as_deref())?;
            for value in &param.values {
                s.text(Tag::ValEnum, value)?;
            }
            optional(s, Tag::DisplayName, param.display_name.as_deref())?;
            s.end(Tag::PropParam);
        }
        s.end(Tag::Property);
    }
    s.end(Tag::CTCap);
    Ok(())
}

/// `CTCap` of 1.0 and 1.1: every type once, whichever datastore named it first.
fn flat_caps<S: Sink>(s: &mut S, devinf: &DevInf<'_>) -> Result {
    let mut written: Vec<&str> = Vec::new();
    for cap in devinf.content_caps.iter().chain(devinf.stores.iter().flat_map(|store| &store.content_caps)) {
        // The DTD wants a property, and a type without any says nothing that Rx and Tx do not say.
        if cap.properties.is_empty() || written.contains(&&*cap.media_type) {
            continue;
        }
        if written.is_empty() {
            s.start(Tag::CTCap);
        }
        written.push(&cap.media_type);
        s.text(Tag::CTType, &cap.media_type)?;
        for Property { name, data_type, max_size, values, display_name, params, .. } in &cap.properties {
            s.text(Tag::PropName, name)?;
            flat_value(s, values, data_type.as_deref(), *max_size)?;
            optional(s, Tag::DisplayName, display_name.as_deref())?;
            for PropParam { name, data_type, size, values, display_name } in params {
                s.text(Tag::ParamName, name)?;
                flat_value(s, values, data_type.as_deref(), *size)?;
                optional(s, Tag::DisplayName, display_name.as_deref())?;
            }
        }
    }
    if !written.is_empty() {
        s.end(Tag::CTCap);
    }
    Ok(())
}

/// Either the values or the type and size; a size needs a type, and `chr` is what everything is.
fn flat_value<S: Sink>(
    s: &mut S,
    values: &[crate::message::Text<'_>],
    kind: Option<&str>,
    size: Option<u64>,
) -> Result {
    if values.is_empty() {
        optional(s, Tag::DataType, kind.or_else(|| size.map(|_| "chr")))?;
        return number(s, Tag::Size, size);
    }
    values.iter().try_for_each(|value| s.text(Tag::ValEnum, value))
}

fn content_types<S: Sink>(s: &mut S, tag: Tag, types: &[ContentType<'_>]) -> Result {
    for content_type in types {
        s.start(tag);
        s.text(Tag::CTType, &content_type.media_type)?;
        s.text(Tag::VerCT, &content_type.version)?;
        s.end(tag);
    }
    Ok(())
}

fn flag<S: Sink>(s: &mut S, tag: Tag, set: bool) {
    if set {
        s.empty(tag);
    }
}

fn optional<S: Sink>(s: &mut S, tag: Tag, text: Option<&str>) -> Result {
    text.map_or(Ok(()), |text| s.text(tag, text))
}

fn number<S: Sink>(s: &mut S, tag: Tag, number: Option<u64>) -> Result {
    number.map_or(Ok(()), |number| s.number(tag, number))
}
