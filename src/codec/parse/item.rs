//! `Item`, its data, and filters.

use super::{Result, content_octets, devinf, filtered_location, flag, inner_address, location, meta, token, whole};
use crate::codec::error::DecodeError;
use crate::codec::limits::Limits;
use crate::codec::source::{Content, Source};
use crate::codec::tag::Tag;
use crate::codec::{Encoding, wbxml, xml};
use crate::message::{Anchor, Bytes, Data, DevInf, Filter, Item, Mem, Meta};
use std::borrow::Cow;

/// The result of reading a document inside the document.
type Nested<T> = std::result::Result<T, DecodeError>;

/// Reads an item to the end of the list.
pub(super) fn push<'a, S: Source<'a>>(s: &mut S, items: &mut Vec<Item<'a>>) -> Result<()> {
    if items.is_empty() {
        items.reserve_exact(1); // nearly always the only one, and large
    }
    items.push(Item::default());
    match items.last_mut() {
        Some(item) => fill(s, item),
        None => Ok(()),
    }
}

/// Reads an item.
pub(super) fn item<'a, S: Source<'a>>(s: &mut S) -> Result<Item<'a>> {
    let mut item = Item::default();
    fill(s, &mut item)?;
    Ok(item)
}

fn fill<'a, S: Source<'a>>(s: &mut S, item: &mut Item<'a>) -> Result<()> {
    while let Some(tag) = s.child()? {
        match tag {
            Tag::Source => item.source = Some(location(s)?),
            Tag::Target => item.target = Some(filtered_location(s, &mut item.filter)?),
            Tag::Data => item.data = Some(data(s)?),
            Tag::Meta => meta::meta(s, item.meta.get_or_insert_default())?,
            Tag::MoreData => item.more_data = flag(s)?,
            Tag::SourceParent => item.source_parent = Some(inner_address(s)?),
            Tag::TargetParent => item.target_parent = Some(inner_address(s)?),
            _ => s.skip()?,
        }
    }
    Ok(())
}

/// The content of `Data`: octets, or markup of MetInf or DevInf.
pub(super) fn data<'a, S: Source<'a>>(s: &mut S) -> Result<Data<'a>> {
    let tag = match s.content()? {
        Content::Octets(octets) => return Ok(Data::Bytes(octets.bytes)),
        Content::Child(tag) => tag,
    };
    match tag {
        Tag::DevInf => {
            let devinf = devinf::devinf(s)?;
            s.skip()?;
            Ok(Data::DevInf(Box::new(devinf)))
        }
        Tag::Anchor | Tag::Last | Tag::Next | Tag::Mem | Tag::SharedMem | Tag::FreeMem | Tag::FreeID | Tag::MetInf => {
            metinf(s, tag)
        }
        _ => Ok(Data::Bytes(s.verbatim()?)),
    }
}

/// An anchor or memory in `Data`, with or without the elements that belong around it. `first` is open.
fn metinf<'a, S: Source<'a>>(s: &mut S, first: Tag) -> Result<Data<'a>> {
    let (mut anchor, mut memory) = (None, None);
    metinf_part(s, first, &mut anchor, &mut memory)?;
    while let Some(tag) = s.child()? {
        metinf_part(s, tag, &mut anchor, &mut memory)?;
    }
    Ok(match (anchor, memory) {
        (Some(anchor), _) => Data::Anchor(anchor),
        (None, Some(memory)) => Data::Mem(memory),
        (None, None) => Data::Bytes(Bytes::default()),
    })
}

fn metinf_part<'a, S: Source<'a>>(
    s: &mut S,
    tag: Tag,
    anchor: &mut Option<Anchor<'a>>,
    memory: &mut Option<Mem>,
) -> Result<()> {
    match tag {
        Tag::Anchor => *anchor = Some(meta::anchor(s)?),
        Tag::Mem => *memory = Some(meta::mem(s)?),
        Tag::Last | Tag::Next => meta::anchor_part(s, tag, anchor.get_or_insert_default())?,
        Tag::SharedMem | Tag::FreeMem | Tag::FreeID => meta::mem_part(s, tag, memory.get_or_insert_default())?,
        Tag::MetInf => {
            while let Some(tag) = s.child()? {
                metinf_part(s, tag, anchor, memory)?;
            }
        }
        _ => s.skip()?,
    }
    Ok(())
}

/// Where device information or an anchor may stand, quoted data of that kind becomes what it quotes: escaped or in
/// CDATA, or a nested document in an opaque block. What cannot be read stays as it is; only limits are errors.
pub(super) fn unwrap<'a, S: Source<'a>>(s: &mut S, items: &mut [Item<'a>], outer: Option<&Meta<'a>>) -> Result<()> {
    for item in items {
        let Some(Data::Bytes(bytes)) = &mut item.data else { continue };
        let types = [item.meta.as_ref(), outer].into_iter().flatten().filter_map(|meta| meta.media_type.as_deref());
        let says_devinf = types.into_iter().any(|media_type| media_type.contains("devinf"));
        if (says_devinf || bytes.trim_ascii_start().starts_with(b"<DevInf") || wbxml::is_devinf(bytes))
            && let Some(devinf) = quoted_devinf(s, std::mem::take(bytes), bytes)?
        {
            item.data = Some(Data::DevInf(Box::new(devinf)));
        }
    }
    Ok(())
}

/// Where an anchor may stand: the same for `<Anchor>`, `<Next>` and so on.
pub(super) fn unwrap_metinf<'a, S: Source<'a>>(s: &mut S, items: &mut [Item<'a>]) -> Result<()> {
    for item in items {
        let Some(Data::Bytes(bytes)) = &item.data else { continue };
        if bytes.trim_ascii_start().first() != Some(&b'<') {
            continue;
        }
        let limits = s.nested_limits();
        let parsed = match bytes {
            Cow::Borrowed(bytes) => quoted_metinf(bytes, &limits),
            Cow::Owned(bytes) => {
                quoted_metinf(bytes, &limits).map(|found| found.map(|(data, count)| (into_owned(data), count)))
            }
        };
        match parsed {
            Ok(Some((data, elements))) => {
                s.count_nested(elements);
                item.data = Some(data);
            }
            Ok(None) => {}
            Err(error) if error.is_limit() => return Err(s.fail(error)),
            Err(_) => {}
        }
    }
    Ok(())
}

fn quoted_metinf<'b>(bytes: &'b [u8], limits: &Limits) -> Nested<Option<(Data<'b>, usize)>> {
    whole(xml::Source::new(bytes, limits)?, |inner| {
        let found = match inner.child()? {
            Some(tag @ (Tag::Anchor | Tag::Mem | Tag::MetInf | Tag::Next | Tag::Last)) => {
                let (mut anchor, mut memory) = (None, None);
                metinf_part(inner, tag, &mut anchor, &mut memory)?;
                anchor.map(Data::Anchor).or_else(|| memory.map(Data::Mem))
            }
            _ => None,
        };
        Ok(found.map(|data| (data, inner.guard().elements)))
    })
}

fn into_owned(data: Data<'_>) -> Data<'static> {
    match data {
        Data::Anchor(anchor) => Data::Anchor(Anchor {
            last: anchor.last.map(|last| last.into_owned().into()),
            next: anchor.next.into_owned().into(),
        }),
        Data::Mem(mem) => Data::Mem(mem),
        Data::Bytes(bytes) => Data::Bytes(bytes.into_owned().into()),
        Data::DevInf(devinf) => Data::DevInf(Box::new(devinf.into_owned())),
    }
}

/// Reads `bytes` as a document; gives them back if they are none.
fn quoted_devinf<'a, S: Source<'a>>(s: &mut S, bytes: Bytes<'a>, back: &mut Bytes<'a>) -> Result<Option<DevInf<'a>>> {
    let limits = s.nested_limits();
    let parsed = match &bytes {
        Cow::Borrowed(bytes) => nested_devinf(bytes, &limits),
        Cow::Owned(bytes) => nested_devinf(bytes, &limits).map(|(devinf, elements)| (devinf.into_owned(), elements)),
    };
    match parsed {
        Ok((devinf, elements)) => {
            s.count_nested(elements);
            Ok(Some(devinf))
        }
        Err(error) if error.is_limit() => Err(s.fail(error)),
        Err(_) => {
            *back = bytes;
            Ok(None)
        }
    }
}

fn nested_devinf<'b>(bytes: &'b [u8], limits: &Limits) -> Nested<(DevInf<'b>, usize)> {
    fn read<'b, S: Source<'b>>(inner: S) -> Nested<(DevInf<'b>, usize)> {
        whole(inner, |inner| Ok((super::devinf_document(inner)?, inner.guard().elements)))
    }
    match Encoding::sniff(bytes) {
        Some(Encoding::Wbxml) => read(wbxml::Source::devinf(bytes, limits)?),
        _ => read(xml::Source::new(bytes, limits)?),
    }
}

/// `Filter` (§3.16).
pub(super) fn filter<'a, S: Source<'a>>(s: &mut S) -> Result<Filter<'a>> {
    let mut filter = Filter::default();
    while let Some(tag) = s.child()? {
        match tag {
            Tag::Meta => meta::meta(s, &mut filter.meta)?,
            Tag::Field => filter.field = wrapped(s)?,
            Tag::Record => filter.record = wrapped(s)?,
            Tag::FilterType => filter.filter_type = Some(token(s)?),
            _ => s.skip()?,
        }
    }
    Ok(filter)
}

/// `Field(Item)` and `Record(Item)`.
fn wrapped<'a, S: Source<'a>>(s: &mut S) -> Result<Option<Item<'a>>> {
    let mut inner = None;
    while let Some(tag) = s.child()? {
        match tag {
            Tag::Item => inner = Some(item(s)?),
            Tag::Meta | Tag::Data => {
                // Without the Item around.
                let item = inner.get_or_insert_with(Item::default);
                match tag {
                    Tag::Meta => meta::meta(s, item.meta.get_or_insert_default())?,
                    _ => item.data = Some(Data::Bytes(content_octets(s)?.bytes)),
                }
            }
            _ => s.skip()?,
        }
    }
    Ok(inner)
}
