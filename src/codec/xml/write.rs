//! Writing XML by hand.

use super::chars;
use crate::codec::encoder::{DataStyle, Options};
use crate::codec::encoding::names;
use crate::codec::error::EncodeError;
use crate::codec::tag::Tag;
use crate::codec::write::{self, Result};
use crate::message::{DevInf, Version};

const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>";
const METINF: &[u8] = b" xmlns=\"syncml:metinf\">";
const DEVINF: &str = "<DevInf xmlns=\"syncml:devinf\">";

/// An XML document that grows. There is a declaration and no DOCTYPE; nothing stands between elements.
pub(in crate::codec) struct Sink {
    pub(in crate::codec) out: Vec<u8>,
    style: DataStyle,
    /// Inside `DevInf`, where names of MetInf mean something else.
    in_devinf: bool,
}

impl Sink {
    pub(in crate::codec) const fn new(style: DataStyle) -> Self {
        Self { out: Vec::new(), style, in_devinf: false }
    }

    /// A device information document that stands alone.
    pub(in crate::codec) fn devinf_document(&mut self, devinf: &DevInf<'_>, version: Version) -> Result {
        self.out.extend_from_slice(DECLARATION.as_bytes());
        self.devinf_element(devinf, version)
    }

    fn devinf_element(&mut self, devinf: &DevInf<'_>, version: Version) -> Result {
        self.out.extend_from_slice(DEVINF.as_bytes());
        self.in_devinf = true;
        let result = write::devinf_content(self, devinf, version);
        self.in_devinf = false;
        write::Sink::end(self, Tag::DevInf);
        result
    }

    #[inline]
    fn open(&mut self, tag: Tag) {
        let open = tag.open().as_bytes();
        if tag.is_meta() && !self.in_devinf {
            self.out.extend_from_slice(&open[..open.len() - 1]); // without the `>`
            self.out.extend_from_slice(METINF);
        } else {
            self.out.extend_from_slice(open);
        }
    }

    /// Room for a leaf, so that its parts are copied without asking again.
    #[inline]
    fn reserve(&mut self, content: usize) {
        self.out.reserve(content + content / 8 + 96);
    }

    #[inline]
    fn data(&mut self, tag: Tag, octets: &[u8], in_cdata: bool) -> Result {
        self.reserve(octets.len());
        self.open(tag);
        if (chars::is_suspect(octets) || std::str::from_utf8(octets).is_err())
            && let Some(offset) = chars::first_uncarriable(octets)
        {
            return Err(not_xml(tag, offset));
        }
        if in_cdata {
            chars::cdata(&mut self.out, octets);
        } else {
            chars::escape(&mut self.out, octets);
        }
        write::Sink::end(self, tag);
        Ok(())
    }
}

#[cold]
fn not_xml(tag: Tag, offset: usize) -> EncodeError {
    EncodeError::NotXml { element: tag.name(), offset }
}

impl write::Sink for Sink {
    fn begin_message(&mut self, version: Version, options: Options) {
        self.out.extend_from_slice(DECLARATION.as_bytes());
        if options.namespace {
            self.out.extend_from_slice(b"<SyncML xmlns=\"");
            self.out.extend_from_slice(names(version).namespace.as_bytes());
            self.out.extend_from_slice(b"\">");
        } else {
            self.open(Tag::SyncML);
        }
    }

    #[inline]
    fn start(&mut self, tag: Tag) {
        self.open(tag);
    }

    #[inline]
    fn end(&mut self, tag: Tag) {
        self.out.extend_from_slice(tag.close().as_bytes());
    }

    fn empty(&mut self, tag: Tag) {
        self.open(tag);
        self.out.pop();
        self.out.extend_from_slice(b"/>");
    }

    #[inline]
    fn text(&mut self, tag: Tag, text: &str) -> Result {
        let text = text.as_bytes();
        self.reserve(text.len());
        self.open(tag);
        if chars::is_suspect(text)
            && let Some(offset) = chars::first_forbidden(text)
        {
            return Err(not_xml(tag, offset));
        }
        chars::escape(&mut self.out, text);
        self.end(tag);
        Ok(())
    }

    #[inline]
    fn octets(&mut self, tag: Tag, octets: &[u8]) -> Result {
        self.data(tag, octets, self.style == DataStyle::Cdata && chars::wants_cdata(octets))
    }

    #[inline]
    fn content(&mut self, tag: Tag, octets: &[u8]) -> Result {
        self.data(tag, octets, self.style == DataStyle::Cdata && !octets.is_empty())
    }

    fn devinf(&mut self, tag: Tag, devinf: &DevInf<'_>, version: Version) -> Result {
        self.open(tag);
        self.devinf_element(devinf, version)?;
        self.end(tag);
        Ok(())
    }
}
