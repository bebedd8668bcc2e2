//! One message on the wire.
//!
//! ```text
//! 4 bytes  "SML1"
//! 2 bytes  status: 0 in a request; in an answer 200, or the HTTP status that says why there is none
//! 1 byte   length of the Content-Type
//! 2 bytes  length of the x-syncml-hmac (§5.6); 0 is none
//! 4 bytes  length of the body
//! n bytes  Content-Type, x-syncml-hmac, body
//! ```
//!
//! Numbers are big-endian. A refusal's body is a sentence in UTF-8.

use std::fmt;
use std::io::{self, Read, Write};
use thiserror::Error;

/// Bytes before the parts whose lengths they tell.
pub const HEAD: usize = 13;

/// The longest Content-Type, in bytes.
pub const MAX_TEXT: usize = 255;

/// The longest MAC header, in bytes.
pub const MAX_MAC: usize = 1_024;

const MAGIC: [u8; 4] = *b"SML1";

/// How much of a body is read between two looks at what came, in bytes.
const CHUNK: usize = 16 * 1024;

/// A message with what goes beside it. `Debug` does not show its contents.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Frame {
    /// 0 in a request; in an answer 200, or the HTTP status that says why there is none.
    pub status: u16,
    /// Content-Type.
    pub content_type: String,
    /// `x-syncml-hmac`.
    pub mac: Option<String>,
    /// The message.
    pub body: Vec<u8>,
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame")
            .field("status", &self.status)
            .field("content_type", &self.content_type)
            .field("has_mac", &self.mac.is_some())
            .field("bytes", &self.body.len())
            .finish()
    }
}

/// The lengths of a frame's parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// See [`Frame::status`].
    pub status: u16,
    /// Bytes of the Content-Type.
    pub content_type: usize,
    /// Bytes of the MAC.
    pub mac: usize,
    /// Bytes of the body.
    pub body: usize,
}

/// Why there is no frame.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FrameError {
    /// Not of this protocol.
    #[error("it does not begin with SML1")]
    Magic,
    /// A MAC header that is too long.
    #[error("its MAC header has {0} bytes")]
    Mac(usize),
    /// A body that is too long.
    #[error("it announces {size} bytes, more than {limit}")]
    TooLarge {
        /// Bytes announced.
        size: usize,
        /// Bytes taken.
        limit: usize,
    },
    /// A header that is not UTF-8.
    #[error("its headers are no text")]
    Text,
    /// The stream failed, or ended in the midst of a frame.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Head {
    /// Reads the lengths, before anything is allocated for them.
    ///
    /// # Errors
    /// [`FrameError`], when they are not of this protocol or beyond the limits.
    pub fn parse(bytes: &[u8; HEAD], limit: usize) -> Result<Self, FrameError> {
        let [m0, m1, m2, m3, s0, s1, text, c0, c1, b0, b1, b2, b3] = *bytes;
        if [m0, m1, m2, m3] != MAGIC {
            return Err(FrameError::Magic);
        }
        let mac = usize::from(u16::from_be_bytes([c0, c1]));
        if mac > MAX_MAC {
            return Err(FrameError::Mac(mac));
        }
        let size = usize::try_from(u32::from_be_bytes([b0, b1, b2, b3])).unwrap_or(usize::MAX);
        if size > limit {
            return Err(FrameError::TooLarge { size, limit });
        }
        Ok(Self { status: u16::from_be_bytes([s0, s1]), content_type: text.into(), mac, body: size })
    }
}

impl Frame {
    /// A message.
    #[must_use]
    pub fn new(status: u16, content_type: &str, mac: Option<&str>, body: Vec<u8>) -> Self {
        Self { status, content_type: content_type.to_owned(), mac: mac.map(str::to_owned), body }
    }

    /// Why there is no answer.
    #[must_use]
    pub fn refusal(status: u16, text: &str) -> Self {
        Self::new(status, "text/plain", None, text.as_bytes().to_vec())
    }

    /// Writes it.
    ///
    /// # Errors
    /// What the stream says, or that a part is longer than can be told.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let too_long = |_| io::Error::from(io::ErrorKind::InvalidInput);
        let mac = self.mac.as_deref().unwrap_or_default().as_bytes();
        let mut bytes = Vec::with_capacity(HEAD + self.content_type.len() + mac.len() + self.body.len());
        bytes.extend(MAGIC);
        bytes.extend(self.status.to_be_bytes());
        bytes.push(u8::try_from(self.content_type.len()).map_err(too_long)?);
        bytes.extend(u16::try_from(mac.len()).map_err(too_long)?.to_be_bytes());
        bytes.extend(u32::try_from(self.body.len()).map_err(too_long)?.to_be_bytes());
        bytes.extend(self.content_type.as_bytes());
        bytes.extend(mac);
        bytes.extend(&self.body);
        out.write_all(&bytes)?;
        out.flush()
    }

    /// Reads the next one; `None` when the stream ends before it begins. `came` hears how many bytes of the body there are.
    ///
    /// # Errors
    /// [`FrameError`].
    pub fn read(from: &mut dyn Read, limit: usize, came: &mut dyn FnMut(u64)) -> Result<Option<Self>, FrameError> {
        let mut head = [0; HEAD];
        if !begins(from, &mut head[..1])? {
            return Ok(None);
        }
        from.read_exact(&mut head[1..])?;
        let head = Head::parse(&head, limit)?;
        let text = |bytes| String::from_utf8(bytes).map_err(|_| FrameError::Text);
        let content_type = text(take(from, head.content_type, &mut |_| ())?)?;
        let mac = text(take(from, head.mac, &mut |_| ())?)?;
        let body = take(from, head.body, came)?;
        Ok(Some(Self { status: head.status, content_type, mac: Some(mac).filter(|mac| !mac.is_empty()), body }))
    }
}

/// Reads a first byte, if there is one.
fn begins(from: &mut dyn Read, byte: &mut [u8]) -> io::Result<bool> {
    loop {
        match from.read(byte) {
            Ok(count) => return Ok(count > 0),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Reads so many bytes; memory grows with what has come, not with what was announced.
fn take(from: &mut dyn Read, size: usize, came: &mut dyn FnMut(u64)) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while bytes.len() < size {
        let have = bytes.len();
        bytes.resize(size.min(have + CHUNK), 0);
        from.read_exact(&mut bytes[have..])?;
        came(bytes.len() as u64);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(frame: &Frame) -> Vec<u8> {
        let mut bytes = Vec::new();
        frame.write(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn has_a_layout() {
        let frame = Frame::new(0, "a/b", Some("m"), b"body".to_vec());
        let bytes = written(&frame);
        assert_eq!(bytes, *b"SML1\0\0\x03\0\x01\0\0\0\x04a/bmbody");
        assert_eq!(written(&Frame::refusal(503, "no"))[..8], *b"SML1\x01\xf7\x0a\0");
        let mut stream = &bytes[..];
        assert_eq!(Frame::read(&mut stream, 4, &mut |_| ()).unwrap(), Some(frame));
        assert!(Frame::read(&mut stream, 4, &mut |_| ()).unwrap().is_none(), "the stream ended between frames");
    }

    #[test]
    fn what_is_no_frame_is_refused_before_it_is_read() {
        let refuse = |bytes: &[u8], limit| {
            // What follows the head is not there: it must not be asked for.
            Frame::read(&mut &*bytes, limit, &mut |_| ()).unwrap_err()
        };
        assert!(matches!(refuse(b"GET / HTTP/1.1\r\n", 10), FrameError::Magic));
        let announced = refuse(b"SML1\0\0\0\0\0\xff\xff\xff\xff", 100);
        assert!(matches!(announced, FrameError::TooLarge { limit: 100, .. }), "{announced}");
        assert!(matches!(refuse(b"SML1\0\0\0\x04\x01\0\0\0\0", 100), FrameError::Mac(1_025)));
        assert!(matches!(refuse(b"SML1\0\0\x01\0\0\0\0\0\0\xff", 100), FrameError::Text));
        for cut in 1..HEAD + 7 {
            let whole = written(&Frame::new(0, "a", Some("m"), b"body!".to_vec()));
            let error = refuse(&whole[..cut], 100);
            assert!(
                matches!(&error, FrameError::Io(io) if io.kind() == io::ErrorKind::UnexpectedEof),
                "{cut}: {error}"
            );
        }
    }

    /// Bytes that come as a stream likes to give them.
    struct Bits<'a>(&'a [u8], Vec<usize>);

    impl Read for Bits<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let most = self.1.pop().unwrap_or(1).max(1).min(buffer.len()).min(self.0.len());
            buffer[..most].copy_from_slice(&self.0[..most]);
            self.0 = &self.0[most..];
            Ok(most)
        }
    }

    proptest! {
        #[test]
        fn any_split_reads_the_same(
            status in any::<u16>(),
            content_type in "[a-z/+]{0,40}",
            mac in proptest::option::of("[ -~]{1,60}"),
            body in proptest::collection::vec(any::<u8>(), 0..60),
            splits in proptest::collection::vec(0_usize..20, 0..40),
        ) {
            let frame = Frame { status, content_type, mac, body };
            let bytes = written(&frame);
            let mut stream = Bits(&bytes, splits);
            prop_assert_eq!(Frame::read(&mut stream, 100, &mut |_| ()).unwrap(), Some(frame));
            prop_assert!(stream.0.is_empty());
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = Frame::read(&mut &bytes[..], 50, &mut |_| ());
            let mut magic = MAGIC.to_vec();
            magic.extend(&bytes);
            let _ = Frame::read(&mut &magic[..], 50, &mut |_| ());
        }
    }
}
