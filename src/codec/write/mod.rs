//! The typed writer: a [`Message`](crate::message::Message) becomes elements, in the order of the DTD (§2.1, §3.19) and
//! with those that the version has.

mod command;
mod devinf;
mod meta;

use super::encoder::Options;
use super::error::EncodeError;
use super::tag::Tag;
use crate::message::{Chal, Cred, Data, DevInf, Filter, Header, Item, Location, Version};

pub(super) use devinf::devinf as devinf_content;

pub(super) type Result = std::result::Result<(), EncodeError>;

/// Where elements go: the writing side that XML and WBXML share.
pub(super) trait Sink {
    /// What stands before the root of a message, and the root.
    fn begin_message(&mut self, version: Version, options: Options);

    /// An element with children begins.
    fn start(&mut self, tag: Tag);

    /// It ends.
    fn end(&mut self, tag: Tag);

    /// An element with nothing in it.
    fn empty(&mut self, tag: Tag);

    /// An element with a text.
    fn text(&mut self, tag: Tag, text: &str) -> Result;

    /// An element with octets.
    fn octets(&mut self, tag: Tag, octets: &[u8]) -> Result;

    /// An element with the content of an item: in a CDATA section (unless the peer takes none) or an opaque block, whether
    /// it has to be or not. SyncEvolution's server takes a chunk that is a bare text for an empty one.
    fn content(&mut self, tag: Tag, octets: &[u8]) -> Result;

    /// An element with device information in it.
    fn devinf(&mut self, tag: Tag, devinf: &DevInf<'_>, version: Version) -> Result;

    /// An element with a number.
    fn number(&mut self, tag: Tag, number: u64) -> Result {
        let mut digits = [0; 20];
        self.text(tag, decimal(number, &mut digits))
    }
}

fn decimal(mut number: u64, digits: &mut [u8; 20]) -> &str {
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 || start == 0 {
            break;
        }
    }
    std::str::from_utf8(&digits[start..]).unwrap_or_default() // digits are ASCII
}

/// A sink and the version that is written into it.
pub(super) struct Writer<'s, S> {
    pub(super) sink: &'s mut S,
    pub(super) version: Version,
}

impl<S: Sink> Writer<'_, S> {
    pub(super) fn header(&mut self, header: &Header<'_>) -> Result {
        self.sink.start(Tag::SyncHdr);
        self.sink.text(Tag::VerDTD, &header.ver_dtd)?;
        self.sink.text(Tag::VerProto, &header.ver_proto)?;
        self.sink.text(Tag::SessionID, header.session_id.as_str())?;
        self.sink.number(Tag::MsgID, header.msg_id.0.into())?;
        self.location(Tag::Target, &header.target)?;
        self.location(Tag::Source, &header.source)?;
        self.optional(Tag::RespURI, header.resp_uri.as_deref())?;
        self.flag(Tag::NoResp, header.no_resp);
        self.credential(header.cred.as_ref())?;
        self.meta(header.meta.as_ref())?;
        self.sink.end(Tag::SyncHdr);
        Ok(())
    }

    fn flag(&mut self, tag: Tag, set: bool) {
        if set {
            self.sink.empty(tag);
        }
    }

    fn optional(&mut self, tag: Tag, text: Option<&str>) -> Result {
        text.map_or(Ok(()), |text| self.sink.text(tag, text))
    }

    fn optional_number(&mut self, tag: Tag, number: Option<u64>) -> Result {
        number.map_or(Ok(()), |number| self.sink.number(tag, number))
    }

    fn location(&mut self, tag: Tag, location: &Location<'_>) -> Result {
        self.filtered_location(tag, location, None)
    }

    fn filtered_location(&mut self, tag: Tag, location: &Location<'_>, filter: Option<&Filter<'_>>) -> Result {
        self.sink.start(tag);
        self.sink.text(Tag::LocURI, &location.uri)?;
        self.optional(Tag::LocName, location.name.as_deref())?;
        if let Some(filter) = filter.filter(|_| self.version >= Version::V12) {
            self.filter(filter)?;
        }
        self.sink.end(tag);
        Ok(())
    }

    fn filter(&mut self, filter: &Filter<'_>) -> Result {
        self.sink.start(Tag::Filter);
        self.meta(Some(&filter.meta))?;
        for (tag, item) in [(Tag::Field, &filter.field), (Tag::Record, &filter.record)] {
            if let Some(item) = item {
                self.sink.start(tag);
                self.item(item)?;
                self.sink.end(tag);
            }
        }
        self.optional(Tag::FilterType, filter.filter_type.as_deref())?;
        self.sink.end(Tag::Filter);
        Ok(())
    }

    fn credential(&mut self, cred: Option<&Cred<'_>>) -> Result {
        let Some(cred) = cred else { return Ok(()) };
        self.sink.start(Tag::Cred);
        self.meta(cred.meta.as_ref())?;
        self.sink.octets(Tag::Data, &cred.data)?;
        self.sink.end(Tag::Cred);
        Ok(())
    }

    fn challenge(&mut self, chal: Option<&Chal<'_>>) -> Result {
        let Some(chal) = chal else { return Ok(()) };
        self.sink.start(Tag::Chal);
        self.meta(Some(&chal.meta))?;
        self.sink.end(Tag::Chal);
        Ok(())
    }

    fn items(&mut self, items: &[Item<'_>]) -> Result {
        items.iter().try_for_each(|item| self.item(item))
    }

    /// The items of a change.
    fn contents(&mut self, items: &[Item<'_>]) -> Result {
        items.iter().try_for_each(|item| self.item_with(item, S::content))
    }

    fn item(&mut self, item: &Item<'_>) -> Result {
        self.item_with(item, S::octets)
    }

    fn item_with(&mut self, item: &Item<'_>, octets: fn(&mut S, Tag, &[u8]) -> Result) -> Result {
        self.sink.start(Tag::Item);
        match (&item.target, &item.filter) {
            (Some(target), filter) => self.filtered_location(Tag::Target, target, filter.as_deref())?,
            (None, Some(filter)) => self.filtered_location(Tag::Target, &Location::default(), Some(filter))?,
            (None, None) => {}
        }
        if let Some(source) = &item.source {
            self.location(Tag::Source, source)?;
        }
        if self.version >= Version::V12 {
            for (tag, parent) in [(Tag::SourceParent, &item.source_parent), (Tag::TargetParent, &item.target_parent)] {
                if let Some(parent) = parent {
                    self.sink.start(tag);
                    self.sink.text(Tag::LocURI, parent)?;
                    self.sink.end(tag);
                }
            }
        }
        self.meta(item.meta.as_ref())?;
        match &item.data {
            Some(Data::Bytes(bytes)) => octets(self.sink, Tag::Data, bytes)?,
            Some(data) => self.data(data)?,
            None => {}
        }
        if item.more_data {
            self.demand(Tag::MoreData, Version::V11)?;
            self.sink.empty(Tag::MoreData);
        }
        self.sink.end(Tag::Item);
        Ok(())
    }

    fn data(&mut self, data: &Data<'_>) -> Result {
        match data {
            Data::Bytes(bytes) => self.sink.octets(Tag::Data, bytes),
            Data::DevInf(devinf) => self.sink.devinf(Tag::Data, devinf, self.version),
            Data::Anchor(anchor) => {
                self.sink.start(Tag::Data);
                self.anchor(anchor)?;
                self.sink.end(Tag::Data);
                Ok(())
            }
            Data::Mem(mem) => {
                self.sink.start(Tag::Data);
                self.mem(mem)?;
                self.sink.end(Tag::Data);
                Ok(())
            }
        }
    }

    /// Refuses what the version lacks and cannot be left out without a word.
    fn demand(&self, tag: Tag, since: Version) -> Result {
        if self.version < since {
            return Err(EncodeError::NotInVersion { element: tag.name(), version: self.version });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn decimals() {
        for number in [0, 1, 9, 10, 200, 1_234_567_890, u64::MAX] {
            assert_eq!(super::decimal(number, &mut [0; 20]), number.to_string());
        }
    }
}
