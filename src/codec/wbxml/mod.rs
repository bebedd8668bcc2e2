//! WBXML (§7): tokens instead of names.

mod read;
mod write;

pub(super) use read::{Source, is_devinf};
pub(super) use write::Sink;

/// Global tokens (§7.2).
mod token {
    pub(super) const SWITCH_PAGE: u8 = 0x00;
    pub(super) const END: u8 = 0x01;
    pub(super) const ENTITY: u8 = 0x02;
    pub(super) const STR_I: u8 = 0x03;
    pub(super) const LITERAL: u8 = 0x04;
    pub(super) const EXT_I_0: u8 = 0x40;
    pub(super) const EXT_I_2: u8 = 0x42;
    pub(super) const PI: u8 = 0x43;
    pub(super) const EXT_T_0: u8 = 0x80;
    pub(super) const EXT_T_2: u8 = 0x82;
    pub(super) const STR_T: u8 = 0x83;
    pub(super) const EXT_0: u8 = 0xC0;
    pub(super) const EXT_2: u8 = 0xC2;
    pub(super) const OPAQUE: u8 = 0xC3;
    /// Added to a tag: attributes follow.
    pub(super) const ATTRIBUTES: u8 = 0x80;
    /// Added to a tag: content follows, and its END.
    pub(super) const CONTENT: u8 = 0x40;
}

/// MIBEnum of character sets.
mod charset {
    pub(super) const UNKNOWN: u32 = 0x00;
    pub(super) const ASCII: u32 = 0x03;
    pub(super) const LATIN1: u32 = 0x04;
    pub(super) const UTF8: u32 = 0x6A;
}
