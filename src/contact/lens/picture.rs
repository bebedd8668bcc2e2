//! Whether a picture is another one written anew: smaller, or squeezed harder, as phones do with the photos they are sent.

use crate::contact::card::Property;
use jpeg_decoder::{Decoder, PixelFormat};

/// The largest picture that is looked at, in points on a side. A photo of a contact is smaller; and of larger ones even the
/// eighth part would be read by several threads.
const MOST_POINTS: u16 = 1024;
/// Points on a side that it is scaled down to, at least.
const FEWEST: u16 = 32;
/// Bytes that reading one may take.
const MOST_BYTES: usize = 16 << 20;
/// Fields on a side of a sketch.
const SIDE: usize = 8;
/// How much fields of two sketches may differ, out of 255: on average, and each.
const MEAN: u32 = 6;
const EACH: u32 = 28;
/// What differs less within itself is no picture of anything.
const CONTRAST: u32 = 24;

/// Shows `shown` what `sent` does, in no better quality? JPEG only; what is anything else, broken or too large is not.
pub(super) fn is_reencoded(sent: &Property<'_>, shown: &Property<'_>) -> bool {
    let (Some(sent), Some(shown)) = (sent.binary(), shown.binary()) else { return false };
    if sent == shown {
        return false;
    }
    let (Some(sent), Some(shown)) = (Sketch::of(&sent), Sketch::of(&shown)) else { return false };
    shown.width <= sent.width && shown.height <= sent.height && sent.resembles(&shown)
}

/// A picture in a few fields of grey.
struct Sketch {
    width: u32,
    height: u32,
    fields: [u32; SIDE * SIDE],
}

impl Sketch {
    fn of(bytes: &[u8]) -> Option<Self> {
        let mut decoder = Decoder::new(bytes);
        decoder.set_max_decoding_buffer_size(MOST_BYTES);
        decoder.read_info().ok()?;
        let whole = decoder.info()?;
        let least = u16::try_from(SIDE).ok()?;
        if !(least..=MOST_POINTS).contains(&whole.width) || !(least..=MOST_POINTS).contains(&whole.height) {
            return None;
        }
        let (short, long) = (whole.width.min(whole.height), whole.width.max(whole.height));
        if long > short.saturating_mul(2) {
            return None;
        }
        decoder.scale(FEWEST, FEWEST).ok()?;
        let points = decoder.decode().ok()?;
        let info = decoder.info()?;
        let depth = match info.pixel_format {
            PixelFormat::L8 => 1,
            PixelFormat::RGB24 => 3,
            _ => return None,
        };
        let (across, down) = (usize::from(info.width), usize::from(info.height));
        let (mut sums, mut counts) = ([0_u32; SIDE * SIDE], [0_u32; SIDE * SIDE]);
        for (at, point) in points.chunks_exact(depth).take(across * down).enumerate() {
            let field = (at / across) * SIDE / down * SIDE + (at % across) * SIDE / across;
            sums[field] += point.iter().map(|&part| u32::from(part)).sum::<u32>() / u32::try_from(depth).ok()?;
            counts[field] += 1;
        }
        let mut fields = [0; SIDE * SIDE];
        for (field, (sum, count)) in fields.iter_mut().zip(sums.iter().zip(counts)) {
            *field = sum.checked_div(count)?;
        }
        Some(Self { width: whole.width.into(), height: whole.height.into(), fields })
    }

    fn resembles(&self, other: &Self) -> bool {
        let contrast = self.fields.iter().max().zip(self.fields.iter().min()).map_or(0, |(most, least)| most - least);
        let (one, two) = (self.width * other.height, self.height * other.width);
        let shape = one.abs_diff(two) <= one.max(two) / 16;
        let mut differences = self.fields.iter().zip(&other.fields).map(|(one, other)| one.abs_diff(*other));
        let sum: u32 = differences.clone().sum();
        contrast >= CONTRAST
            && shape
            && sum <= MEAN * u32::try_from(self.fields.len()).unwrap_or(u32::MAX)
            && differences.all(|difference| difference <= EACH)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::is_reencoded;
    use crate::contact::card::{Card, CardBuilder, PropertyBuf, Version};
    use jpeg_encoder::{ColorType, Encoder};

    /// A picture of this motif, so many points on a side.
    pub(in crate::contact::lens) fn draw(motif: u32, side: u16, quality: u8) -> Vec<u8> {
        let mut points = Vec::new();
        for at in 0..u32::from(side) * u32::from(side) {
            let (x, y) = (at % u32::from(side) * 240 / u32::from(side), at / u32::from(side) * 240 / u32::from(side));
            let face = (x.abs_diff(120).pow(2) + y.abs_diff(100).pow(2)) < 4_000;
            let grey = match motif {
                0 if face => 210,
                0 => 40 + x / 4 + y / 8,
                1 if x > 90 && x < 150 => 230,
                1 => 150 - y / 4,
                _ => 128,
            };
            let grey = u8::try_from(grey).unwrap();
            points.extend([grey, grey.saturating_sub(20), grey / 2]);
        }
        let mut out = Vec::new();
        Encoder::new(&mut out, quality).encode(&points, side, side, ColorType::Rgb).unwrap();
        out
    }

    fn same(one: &[u8], other: &[u8]) -> bool {
        let card = CardBuilder::new(Version::V3_0)
            .property(&PropertyBuf::binary("PHOTO", Some("image/jpeg"), one))
            .property(&PropertyBuf::binary("PHOTO", Some("image/jpeg"), other))
            .build();
        let card = Card::parse(&card).unwrap();
        let mut photos = card.all("PHOTO");
        is_reencoded(photos.next().unwrap(), photos.next().unwrap())
    }

    #[test]
    fn a_picture_is_known_when_it_is_written_anew() {
        let sent = draw(0, 240, 92);
        for (shown, expected, why) in [
            (draw(0, 96, 50), true, "smaller and squeezed"),
            (draw(0, 240, 40), true, "squeezed"),
            (draw(0, 300, 95), false, "more of it is an edit"),
            (draw(1, 96, 50), false, "another picture"),
            (sent.clone(), false, "the same bytes need no looking at"),
            (sent[..sent.len() / 3].to_vec(), false, "a broken one"),
            (b"GIF89a".to_vec(), false, "no JPEG"),
            (Vec::new(), false, "nothing"),
        ] {
            assert_eq!(same(&sent, &shown), expected, "{why}");
        }
        assert!(!same(&draw(2, 96, 90), &draw(2, 90, 50)), "of nothing there is nothing to be known");
    }
}
