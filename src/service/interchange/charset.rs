//! In which charset a file is, and its text, as a stream.

use crate::contact::card::Charset;
use encoding_rs::{Decoder, DecoderResult, Encoding, GB18030, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};
use std::io::{self, Read};

/// Bytes read at once.
const PIECE: usize = 64 << 10;

/// The charset of a text, by all of it: by its byte-order mark, else UTF-16 by its zero bytes, else UTF-8 where it is valid,
/// else GB18030 where that is valid and most of it are common characters, else Windows-1252.
///
/// # Errors
/// Those of the reader.
pub fn detect(from: &mut dyn Read) -> io::Result<Charset> {
    let mut piece = vec![0; PIECE];
    let mut found = Seen::new();
    let mut first = true;
    loop {
        let size = read_some(from, &mut piece)?;
        let bytes = &piece[..size];
        if std::mem::take(&mut first)
            && let Some(sure) = by_head(bytes)
        {
            return Ok(charset(sure));
        }
        found.look(bytes);
        if size == 0 {
            return Ok(charset(found.verdict()));
        }
    }
}

fn by_head(head: &[u8]) -> Option<&'static Encoding> {
    match head {
        [0xEF, 0xBB, 0xBF, ..] => Some(UTF_8),
        [0xFF, 0xFE, ..] => Some(UTF_16LE),
        [0xFE, 0xFF, ..] => Some(UTF_16BE),
        [1..=255, 0, 1..=255, 0, ..] => Some(UTF_16LE),
        [0, 1..=255, 0, 1..=255, ..] => Some(UTF_16BE),
        _ => None,
    }
}

fn charset(encoding: &'static Encoding) -> Charset {
    Charset::for_label(encoding.name()).unwrap_or(Charset::UTF_8)
}

/// Fills as much of the buffer as there is.
fn read_some(from: &mut dyn Read, into: &mut [u8]) -> io::Result<usize> {
    let mut size = 0;
    while size < into.len() {
        match from.read(&mut into[size..]) {
            Ok(0) => break,
            Ok(more) => size += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(size)
}

/// What was seen of a text so far.
struct Seen {
    utf8: Option<Decoder>,
    gb: Option<Decoder>,
    /// Half of a pair of bytes.
    lead: Option<u8>,
    common: u64,
    rare: u64,
}

impl Seen {
    fn new() -> Self {
        Self {
            utf8: Some(UTF_8.new_decoder_without_bom_handling()),
            gb: Some(GB18030.new_decoder_without_bom_handling()),
            lead: None,
            common: 0,
            rare: 0,
        }
    }

    /// No bytes: the end.
    fn look(&mut self, bytes: &[u8]) {
        for decoder in [&mut self.utf8, &mut self.gb] {
            if let Some(mut it) = decoder.take()
                && is_valid(&mut it, bytes)
            {
                *decoder = Some(it);
            }
        }
        // Characters of GB 2312, which nearly all text is made of, have two bytes above 0xA0; a word of a Western language
        // hardly ever has two such letters in a row.
        for &byte in bytes {
            match self.lead.take() {
                Some(lead) if lead >= 0xB0 && byte >= 0xA1 => self.common += 1,
                Some(_) => self.rare += 1,
                None if byte >= 0x81 => self.lead = Some(byte),
                None => {}
            }
        }
    }

    fn verdict(&self) -> &'static Encoding {
        match (&self.utf8, &self.gb) {
            (Some(_), _) => UTF_8,
            (_, Some(_)) if self.common >= 3 * self.rare => GB18030,
            _ => WINDOWS_1252,
        }
    }
}

fn is_valid(decoder: &mut Decoder, mut bytes: &[u8]) -> bool {
    let mut out = [0; 4096];
    let last = bytes.is_empty();
    loop {
        let (result, read, _) = decoder.decode_to_utf8_without_replacement(bytes, &mut out, last);
        bytes = &bytes[read..];
        match result {
            DecoderResult::InputEmpty => return true,
            DecoderResult::OutputFull => {}
            DecoderResult::Malformed(..) => return false,
        }
    }
}

/// The text of a file as UTF-8, without a byte-order mark. Reading fails with [`io::ErrorKind::InvalidData`] where the bytes
/// are none of the charset, instead of losing them.
pub struct Decoded<R> {
    from: R,
    decoder: Decoder,
    name: &'static str,
    input: Vec<u8>,
    text: Vec<u8>,
    /// What of `text` was not given yet.
    rest: std::ops::Range<usize>,
    ended: bool,
}

impl<R: Read> Decoded<R> {
    /// The text of these bytes.
    pub fn new(from: R, charset: Charset) -> Self {
        let encoding = Encoding::for_label(charset.name().as_bytes()).unwrap_or(UTF_8);
        let decoder = encoding.new_decoder_with_bom_removal();
        Self { from, decoder, name: charset.name(), input: vec![0; PIECE], text: Vec::new(), rest: 0..0, ended: false }
    }

    /// Decodes the next piece, if there is one.
    fn more(&mut self) -> io::Result<()> {
        let size = self.from.read(&mut self.input)?;
        self.ended = size == 0;
        let most = self.decoder.max_utf8_buffer_length_without_replacement(size).unwrap_or(4 * size + 16);
        self.text.resize(most.max(16), 0);
        let input = &self.input[..size];
        // There is room for all of it.
        let (result, _, written) = self.decoder.decode_to_utf8_without_replacement(input, &mut self.text, self.ended);
        self.rest = 0..written;
        match result {
            DecoderResult::Malformed(..) => {
                self.ended = true;
                let text = format!("the text is not {} as a whole; name its charset", self.name);
                Err(io::Error::new(io::ErrorKind::InvalidData, text))
            }
            _ => Ok(()),
        }
    }
}

impl<R: Read> Read for Decoded<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() && !self.ended {
            self.more()?;
        }
        let size = out.len().min(self.rest.len());
        out[..size].copy_from_slice(&self.text[self.rest.start..self.rest.start + size]);
        self.rest.start += size;
        Ok(size)
    }
}

/// The bytes of a text in a charset; characters that it has not become `?`.
pub(super) fn encode(charset: Charset, text: &str) -> Vec<u8> {
    let encoding = Encoding::for_label(charset.name().as_bytes()).unwrap_or(UTF_8);
    if encoding == UTF_16LE || encoding == UTF_16BE {
        let units = text.encode_utf16();
        return units.flat_map(|it| if encoding == UTF_16LE { it.to_le_bytes() } else { it.to_be_bytes() }).collect();
    }
    let mut encoder = encoding.new_encoder();
    let room = encoder.max_buffer_length_from_utf8_without_replacement(text.len()).unwrap_or(text.len() * 4);
    let mut out = vec![0; room + 16];
    let (mut text, mut size) = (text, 0);
    loop {
        let (result, read, written) = encoder.encode_from_utf8_without_replacement(text, &mut out[size..], true);
        size += written;
        text = &text[read..];
        match result {
            encoding_rs::EncoderResult::Unmappable(_) => {
                out.insert(size, b'?');
                size += 1;
            }
            encoding_rs::EncoderResult::InputEmpty => break,
            encoding_rs::EncoderResult::OutputFull => out.resize(out.len() * 2, 0),
        }
    }
    out.truncate(size);
    out
}

#[cfg(test)]
mod tests {
    use super::{Decoded, detect, encode};
    use crate::contact::card::Charset;
    use std::io::Read;

    fn text(bytes: &[u8]) -> (String, String) {
        let charset = detect(&mut &*bytes).unwrap();
        let mut text = String::new();
        Decoded::new(bytes, charset).read_to_string(&mut text).unwrap();
        (charset.name().to_owned(), text)
    }

    #[test]
    fn i1_charsets_are_found_by_the_whole_text() {
        let chinese = "姓名,手机\r\n王小明,13800138000\r\n李雷,13900139000\r\n";
        let western = "Name;Straße\nZoë Müller;Grüner Weg\nJosé Peña;Año\n";
        for (wanted, charset, before, said) in [
            ("UTF-8", "utf-8", &b""[..], chinese),
            ("UTF-8", "utf-8", b"\xEF\xBB\xBF", chinese),
            ("UTF-16LE", "utf-16le", b"\xFF\xFE", chinese),
            ("UTF-16BE", "utf-16be", b"\xFE\xFF", western),
            ("UTF-16LE", "utf-16le", b"", western),
            ("gb18030", "gb18030", b"", chinese),
            ("windows-1252", "windows-1252", b"", western),
            ("UTF-8", "utf-8", b"", "plain"),
            ("UTF-8", "utf-8", b"", ""),
        ] {
            let bytes = [before, &encode(Charset::for_label(charset).unwrap(), said)].concat();
            assert_eq!(text(&bytes), (wanted.to_owned(), said.to_owned()), "{wanted}");
        }
        // Far behind the first piece.
        let late = "a,b\n".repeat(100_000) + "王小明,李雷\n";
        assert_eq!(text(&encode(Charset::for_label("gb18030").unwrap(), &late)).1, late);
    }

    #[test]
    fn nothing_is_lost_to_a_wrong_charset() {
        let error = Decoded::new(&b"Zo\xEB"[..], Charset::UTF_8).read_to_string(&mut String::new()).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
        assert_eq!(encode(Charset::WINDOWS_1252, "Zoë 王"), b"Zo\xEB ?");
    }
}
