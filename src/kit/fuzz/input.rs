//! Bytes as a string of choices.

/// Parts of an input that is several things are kept apart by this byte (record separator): it is in no text.
const SEPARATOR: u8 = 0x1E;

/// A string of choices. Where it ends every choice is the first one.
#[derive(Clone, Copy, Debug)]
pub struct Input<'i> {
    bytes: &'i [u8],
}

impl<'i> Input<'i> {
    /// Choices out of these bytes.
    #[must_use]
    pub const fn new(bytes: &'i [u8]) -> Self {
        Self { bytes }
    }

    /// Whether nothing is left to choose.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.bytes.split_first() else { return 0 };
        self.bytes = rest;
        *first
    }

    /// A number below `bound`, of one byte; 0 where there is nothing to choose from.
    pub fn below(&mut self, bound: usize) -> usize {
        if bound == 0 { 0 } else { usize::from(self.byte()) % bound }
    }

    /// One of these.
    ///
    /// # Panics
    /// When there are none.
    pub fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    /// Yes once in `times`.
    pub fn chance(&mut self, times: u8) -> bool {
        self.byte() % times.max(1) == times.max(1) - 1
    }

    /// A number of any size, often an awkward one.
    pub fn number(&mut self) -> u64 {
        match self.byte() % 6 {
            0 | 1 => self.byte().into(),
            2 => u64::from(self.byte()) << 8 | u64::from(self.byte()),
            3 => u64::MAX - u64::from(self.byte()),
            4 => i64::MAX as u64 - u64::from(self.byte()),
            _ => 1_u64.checked_shl(u32::from(self.byte()) % 64).unwrap_or_default(),
        }
    }

    /// So many bytes as the next one says, or as many as are left.
    pub fn bytes(&mut self) -> &'i [u8] {
        let length = usize::from(self.byte()).min(self.bytes.len());
        let (taken, rest) = self.bytes.split_at(length);
        self.bytes = rest;
        taken
    }

    /// The same as text that XML can carry: what is no UTF-8 is replaced, other characters are left out.
    pub fn text(&mut self) -> String {
        let carried =
            |c: &char| !matches!(c, '\0'..='\x08' | '\x0B' | '\x0C' | '\x0E'..='\x1F' | '\u{FFFE}' | '\u{FFFF}');
        String::from_utf8_lossy(self.bytes()).chars().filter(carried).collect()
    }

    /// What is left.
    #[must_use]
    pub const fn rest(&self) -> &'i [u8] {
        self.bytes
    }
}

/// The parts of an input that is several things: always so many, empty where there are fewer.
pub(super) fn parts<const N: usize>(bytes: &[u8]) -> [&[u8]; N] {
    let mut parts = [&bytes[..0]; N];
    for (place, part) in parts.iter_mut().zip(bytes.splitn(N, |byte| *byte == SEPARATOR)) {
        *place = part;
    }
    parts
}
