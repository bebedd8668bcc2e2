//! Writing WBXML.

use super::token;
use crate::codec::encoder::Options;
use crate::codec::encoding::{DEVINF, MESSAGE, names};
use crate::codec::scan;
use crate::codec::tag::Tag;
use crate::codec::write::{self, Result};
use crate::message::{DevInf, Version};

/// A WBXML document that grows. The code page is switched when an element wants another, not before; there are no
/// attributes and no string table beyond the identifier of 1.0.
pub(in crate::codec) struct Sink {
    pub(in crate::codec) out: Vec<u8>,
    /// The code page that the next tag would be read in.
    pub(in crate::codec) page: u8,
    vocabulary: usize,
}

impl Sink {
    /// Part of a message, at code page 0.
    pub(in crate::codec) const fn new() -> Self {
        Self { out: Vec::new(), page: 0, vocabulary: MESSAGE }
    }

    /// A device information document. It has its own header and its own code pages (§7.6).
    pub(in crate::codec) fn devinf_document(
        devinf: &DevInf<'_>,
        version: Version,
    ) -> std::result::Result<Vec<u8>, crate::codec::EncodeError> {
        let mut sink = Self { out: Vec::new(), page: 0, vocabulary: DEVINF };
        sink.document_header(version);
        write::Sink::start(&mut sink, Tag::DevInf);
        write::devinf_content(&mut sink, devinf, version)?;
        write::Sink::end(&mut sink, Tag::DevInf);
        Ok(sink.out)
    }

    /// WBXML 1.2, UTF-8. The public identifier is a number; in 1.0, whose devices know none, it is a text in the string
    /// table, without a NUL as in the specification's own sample (§7.1).
    fn document_header(&mut self, version: Version) {
        const WBXML_1_2: u8 = 0x02;
        const UTF_8: u8 = 0x6A;
        let names = names(version);
        self.out.push(WBXML_1_2);
        if version == Version::V10 {
            let fpi = names.fpi[self.vocabulary].as_bytes();
            self.out.extend_from_slice(&[0, 0, UTF_8]);
            self.number(fpi.len());
            self.out.extend_from_slice(fpi);
        } else {
            self.number(names.public_id[self.vocabulary] as usize);
            self.out.extend_from_slice(&[UTF_8, 0]);
        }
    }

    /// `mb_u_int32`. What is written here is far below 4 GiB: it is held in memory and sent in one message.
    fn number(&mut self, number: usize) {
        let mut shift = 28;
        while shift > 0 && number >> shift == 0 {
            shift -= 7;
        }
        while shift > 0 {
            self.out.push((number >> shift) as u8 & 0x7F | 0x80);
            shift -= 7;
        }
        self.out.push(number as u8 & 0x7F);
    }

    #[inline]
    fn tag(&mut self, tag: Tag, content: u8) {
        let token = self.token(tag);
        self.out.push(token | content);
    }

    /// The token of a tag, after turning to its code page.
    #[inline]
    fn token(&mut self, tag: Tag) -> u8 {
        if self.vocabulary == DEVINF {
            return tag.devinf_token();
        }
        let (page, token) = tag.message_token();
        self.turn_to(page);
        token
    }

    /// Makes `page` the code page of the next tag.
    #[inline]
    pub(in crate::codec) fn turn_to(&mut self, page: u8) {
        if self.page != page {
            self.out.extend_from_slice(&[token::SWITCH_PAGE, page]);
            self.page = page;
        }
    }

    fn opaque(&mut self, octets: &[u8]) {
        self.out.reserve(octets.len() + 8);
        self.out.push(token::OPAQUE);
        self.number(octets.len());
        self.out.extend_from_slice(octets);
    }

    #[inline]
    fn leaf(&mut self, tag: Tag, octets: &[u8], is_string: bool) {
        if octets.is_empty() {
            return self.tag(tag, 0);
        }
        let tag = self.token(tag) | token::CONTENT;
        if is_string {
            self.out.reserve(octets.len() + 4);
            self.out.extend_from_slice(&[tag, token::STR_I]);
            self.out.extend_from_slice(octets);
            self.out.extend_from_slice(&[0, token::END]);
        } else {
            self.out.push(tag);
            self.opaque(octets);
            self.out.push(token::END);
        }
    }
}

/// Whether there is no control character, so that an inline string is safe and readable. Line breaks go into opaque
/// blocks: nothing on the way touches those.
#[inline]
fn is_plain(octets: &[u8]) -> bool {
    scan::find_if(octets, |byte| byte < 0x20).is_none()
}

impl write::Sink for Sink {
    fn begin_message(&mut self, version: Version, _: Options) {
        self.document_header(version);
        self.start(Tag::SyncML);
    }

    #[inline]
    fn start(&mut self, tag: Tag) {
        self.tag(tag, token::CONTENT);
    }

    #[inline]
    fn end(&mut self, _: Tag) {
        self.out.push(token::END);
    }

    fn empty(&mut self, tag: Tag) {
        self.tag(tag, 0);
    }

    #[inline]
    fn text(&mut self, tag: Tag, text: &str) -> Result {
        self.leaf(tag, text.as_bytes(), is_plain(text.as_bytes()));
        Ok(())
    }

    #[inline]
    fn octets(&mut self, tag: Tag, octets: &[u8]) -> Result {
        self.leaf(tag, octets, is_plain(octets) && std::str::from_utf8(octets).is_ok());
        Ok(())
    }

    #[inline]
    fn content(&mut self, tag: Tag, octets: &[u8]) -> Result {
        self.leaf(tag, octets, false);
        Ok(())
    }

    fn devinf(&mut self, tag: Tag, devinf: &DevInf<'_>, version: Version) -> Result {
        let document = Self::devinf_document(devinf, version)?;
        self.leaf(tag, &document, false);
        Ok(())
    }
}
