//! Device information (§3.19), of all versions and their mixtures.

use super::{Result, address, flag, number, number_of_bits, token};
use crate::codec::source::Source;
use crate::codec::tag::Tag;
use crate::message::{
    ContentCap, ContentType, DataStore, DevInf, Extension, FilterCap, PropParam, Property, StoreMemory, SyncKind,
};

/// The content of `DevInf`.
pub(super) fn devinf<'a, S: Source<'a>>(s: &mut S) -> Result<DevInf<'a>> {
    let mut devinf = DevInf::default();
    while let Some(tag) = s.child()? {
        match tag {
            Tag::VerDTD => devinf.ver_dtd = token(s)?,
            Tag::Man => devinf.man = Some(s.text()?),
            Tag::Mod => devinf.model = Some(s.text()?),
            Tag::OEM => devinf.oem = Some(s.text()?),
            Tag::FwV => devinf.fwv = Some(s.text()?),
            Tag::SwV => devinf.swv = Some(s.text()?),
            Tag::HwV => devinf.hwv = Some(s.text()?),
            Tag::DevID => devinf.dev_id = address(s)?,
            Tag::DevTyp => devinf.dev_type = token(s)?,
            Tag::UTC => devinf.utc = flag(s)?,
            Tag::SupportLargeObjs => devinf.large_objects = flag(s)?,
            Tag::SupportNumberOfChanges => devinf.number_of_changes = flag(s)?,
            Tag::DataStore => devinf.stores.push(store(s)?),
            Tag::CTCap => content_caps(s, &mut devinf.content_caps)?,
            Tag::Ext => devinf.extensions.push(extension(s)?),
            _ => s.skip()?,
        }
    }
    Ok(devinf)
}

fn store<'a, S: Source<'a>>(s: &mut S) -> Result<DataStore<'a>> {
    let mut store = DataStore::default();
    while let Some(tag) = s.child()? {
        match tag {
            Tag::SourceRef => store.source_ref = address(s)?,
            Tag::DisplayName => store.display_name = Some(s.text()?),
            Tag::MaxGUIDSize => store.max_guid_size = number(s)?,
            Tag::RxPref => store.rx_pref.push(content_type(s)?),
            Tag::Rx => store.rx.push(content_type(s)?),
            Tag::TxPref => store.tx_pref.push(content_type(s)?),
            Tag::Tx => store.tx.push(content_type(s)?),
            Tag::CTCap => content_caps(s, &mut store.content_caps)?,
            Tag::DSMem => store.memory = Some(memory(s)?),
            Tag::SupportHierarchicalSync => store.hierarchical = flag(s)?,
            Tag::SyncCap => sync_kinds(s, &mut store.sync_kinds)?,
            Tag::FilterRx => store.filter_rx.push(content_type(s)?),
            Tag::FilterCap => store.filter_caps.push(filter_cap(s)?),
            _ => s.skip()?,
        }
    }
    Ok(store)
}

fn content_type<'a, S: Source<'a>>(s: &mut S) -> Result<ContentType<'a>> {
    let mut content_type = ContentType::default();
    while let Some(tag) = s.child()? {
        match tag {
            Tag::CTType => content_type.media_type = token(s)?,
            Tag::VerCT => content_type.version = token(s)?,
            _ => s.skip()?,
        }
    }
    Ok(content_type)
}

fn memory<'a, S: Source<'a>>(s: &mut S) -> Result<StoreMemory> {
    let mut memory = StoreMemory::default();
    while let Some(tag) = s.child()? {
        match tag {
            Tag::SharedMem => memory.shared = flag(s)?,
            Tag::MaxMem => memory.max_mem = number(s)?,
            Tag::MaxID => memory.max_id = number(s)?,
            _ => s.skip()?,
        }
    }
    Ok(memory)
}

fn sync_kinds<'a, S: Source<'a>>(s: &mut S, kinds: &mut Vec<SyncKind>) -> Result<()> {
    while let Some(tag) = s.child()? {
        match tag {
            Tag::SyncType => kinds.push(SyncKind(number_of_bits(s, 32)? as u32)),
            _ => s.skip()?,
        }
    }
    Ok(())
}

fn filter_cap<'a, S: Source<'a>>(s: &mut S) -> Result<FilterCap<'a>> {
    let mut cap = FilterCap::default();
    while let Some(tag) = s.child()? {
        match tag {
            Tag::CTType => cap.content.media_type = token(s)?,
            Tag::VerCT => cap.content.version = token(s)?,
            Tag::FilterKeyword => cap.keywords.push(token(s)?),
            Tag::PropName => cap.properties.push(token(s)?),
            _ => s.skip()?,
        }
    }
    Ok(cap)
}

fn extension<'a, S: Source<'a>>(s: &mut S) -> Result<Extension<'a>> {
    let mut extension = Extension::default();
    while let Some(tag) = s.child()? {
        match tag {
            Tag::XNam => extension.name = token(s)?,
            Tag::XVal => extension.values.push(s.text()?),
            _ => s.skip()?,
        }
    }
    Ok(extension)
}

/// `CTCap`: one type with properties inside elements (1.2), or several types and everything below them in one flat row
/// (1.0, 1.1), or a mixture. A name opens something; what follows describes what was opened last.
fn content_caps<'a, S: Source<'a>>(s: &mut S, caps: &mut Vec<ContentCap<'a>>) -> Result<()> {
    caps.push(ContentCap::default());
    let (mut has_type, mut in_param) = (false, false);
    while let Some(tag) = s.child()? {
        // Somebody stands at the end of the list: it was not empty when the loop began and only grows.
        let Some(cap) = caps.last_mut() else { break };
        match tag {
            Tag::CTType => {
                let media_type = token(s)?;
                if has_type {
                    caps.push(ContentCap { media_type, ..ContentCap::default() });
                } else {
                    cap.media_type = media_type;
                    has_type = true;
                }
            }
            Tag::VerCT => cap.version = Some(token(s)?).filter(|version| !version.is_empty()),
            Tag::FieldLevel => cap.field_level = flag(s)?,
            Tag::Property => cap.properties.push(property(s)?),
            Tag::PropName => {
                cap.properties.push(Property { name: token(s)?, ..Property::default() });
                in_param = false;
            }
            _ => match cap.properties.last_mut() {
                Some(property) => property_part(s, tag, property, &mut in_param)?,
                None => s.skip()?,
            },
        }
    }
    Ok(())
}

fn property<'a, S: Source<'a>>(s: &mut S) -> Result<Property<'a>> {
    let mut property = Property::default();
    let mut in_param = false;
    while let Some(tag) = s.child()? {
        match tag {
            Tag::PropName => property.name = token(s)?,
            _ => property_part(s, tag, &mut property, &mut in_param)?,
        }
    }
    Ok(property)
}

/// What describes a property: its own children, or – after a bare `ParamName` – those of that parameter.
fn property_part<'a, S: Source<'a>>(
    s: &mut S,
    tag: Tag,
    property: &mut Property<'a>,
    in_param: &mut bool,
) -> Result<()> {
    match tag {
        Tag::PropParam => {
            let mut param = PropParam::default();
            while let Some(tag) = s.child()? {
                param_part(s, tag, &mut param)?;
            }
            property.params.push(param);
            *in_param = false;
        }
        Tag::ParamName => {
            property.params.push(PropParam { name: token(s)?, ..PropParam::default() });
            *in_param = true;
        }
        Tag::MaxOccur => property.max_occur = number(s)?,
        Tag::NoTruncate => property.no_truncate = flag(s)?,
        _ => match property.params.last_mut() {
            Some(param) if *in_param => param_part(s, tag, param)?,
            _ => match tag {
                Tag::DataType => property.data_type = Some(token(s)?),
                Tag::Size | Tag::MaxSize => property.max_size = number(s)?,
                Tag::ValEnum => property.values.push(s.text()?),
                Tag::DisplayName => property.display_name = Some(s.text()?),
                _ => s.skip()?,
            },
        },
    }
    Ok(())
}

fn param_part<'a, S: Source<'a>>(s: &mut S, tag: Tag, param: &mut PropParam<'a>) -> Result<()> {
    match tag {
        Tag::ParamName => param.name = token(s)?,
        Tag::DataType => param.data_type = Some(token(s)?),
        Tag::Size | Tag::MaxSize => param.size = number(s)?,
        Tag::ValEnum => param.values.push(s.text()?),
        Tag::DisplayName => param.display_name = Some(s.text()?),
        _ => s.skip()?,
    }
    Ok(())
}
