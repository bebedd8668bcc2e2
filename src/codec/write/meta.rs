//! `Meta` and what stands in it.

use super::{Result, Sink, Writer};
use crate::codec::tag::Tag;
use crate::message::{Anchor, Mem, Meta, Version};

impl<S: Sink> Writer<'_, S> {
    pub(super) fn meta(&mut self, meta: Option<&Meta<'_>>) -> Result {
        let Some(meta) = meta else { return Ok(()) };
        if meta.is_empty() {
            self.sink.empty(Tag::Meta);
            return Ok(());
        }
        self.sink.start(Tag::Meta);
        self.flag(Tag::FieldLevel, meta.field_level && self.version >= Version::V12);
        self.optional(Tag::Format, meta.format.as_deref())?;
        self.optional(Tag::Type, meta.media_type.as_deref())?;
        self.optional(Tag::Mark, meta.mark.as_deref())?;
        self.optional_number(Tag::Size, meta.size)?;
        if let Some(anchor) = &meta.anchor {
            self.anchor(anchor)?;
        }
        self.optional(Tag::Version, meta.version.as_deref())?;
        self.optional(Tag::NextNonce, meta.next_nonce.as_deref())?;
        self.optional_number(Tag::MaxMsgSize, meta.max_msg_size)?;
        if self.version >= Version::V11 {
            self.optional_number(Tag::MaxObjSize, meta.max_obj_size)?;
        }
        for extension in &meta.emi {
            self.sink.text(Tag::EMI, extension)?;
        }
        if let Some(mem) = &meta.mem {
            self.mem(mem)?;
        }
        self.sink.end(Tag::Meta);
        Ok(())
    }

    pub(super) fn anchor(&mut self, anchor: &Anchor<'_>) -> Result {
        self.sink.start(Tag::Anchor);
        self.optional(Tag::Last, anchor.last.as_deref())?;
        self.sink.text(Tag::Next, &anchor.next)?;
        self.sink.end(Tag::Anchor);
        Ok(())
    }

    pub(super) fn mem(&mut self, mem: &Mem) -> Result {
        self.sink.start(Tag::Mem);
        self.flag(Tag::SharedMem, mem.shared);
        self.sink.number(Tag::FreeMem, mem.free_mem)?;
        self.sink.number(Tag::FreeID, mem.free_id)?;
        self.sink.end(Tag::Mem);
        Ok(())
    }
}
