//! Faces of fonts: which characters they have, and how they are put into a PDF – only the shapes that are used (ISO 32000-1 §9.7).

use pdf_writer::types::{CidFontType, FontFlags, SystemInfo, UnicodeCmap};
use pdf_writer::{Filter, Finish as _, Name, Pdf, Rect, Ref, Str};
use std::collections::BTreeMap;
use std::sync::Arc;
use subsetter::GlyphRemapper;
use ttf_parser::{RawFace, Tag};

/// A face of a font: TrueType or OpenType, alone or one of a collection.
#[derive(Clone)]
pub struct Face {
    data: Arc<Vec<u8>>,
    index: u32,
}

impl std::fmt::Debug for Face {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Face({} bytes, index {})", self.data.len(), self.index)
    }
}

impl Face {
    /// The face of that number in a font file; `None` if it is none, or none that may be put into documents.
    #[must_use]
    pub fn new(data: Vec<u8>, index: u32) -> Option<Self> {
        usable(&data, index)?;
        Some(Self { data: Arc::new(data), index })
    }

    /// Whether the face of that number in a font file may be put into documents.
    #[must_use]
    pub fn is_usable(data: &[u8], index: u32) -> bool {
        usable(data, index).is_some()
    }

    /// Whether the face of that number in a font file has a character, and may be put into documents.
    #[must_use]
    pub fn has(data: &[u8], index: u32, char: char) -> bool {
        usable(data, index).is_some_and(|face| face.glyph_index(char).is_some())
    }
}

/// A face with shapes that can be taken out of it, and whose maker allows that.
fn usable(data: &[u8], index: u32) -> Option<ttf_parser::Face<'_>> {
    let face = ttf_parser::Face::parse(data, index).ok()?;
    let shapes = [b"glyf", b"CFF "].iter().any(|tag| face.raw_face().table(Tag::from_bytes(tag)).is_some());
    let allowed = face.permissions() != Some(ttf_parser::Permissions::Restricted) && face.is_subsetting_allowed();
    (shapes && allowed).then_some(face)
}

/// Finds faces. The host knows where fonts are.
pub trait Faces {
    /// A face that has this character. Asked once for each that none of the faces given so far has.
    fn with(&mut self, char: char) -> Option<Face>;
}

/// A shape of a face.
#[derive(Clone, Copy, Debug)]
pub(super) struct Glyph {
    /// Its number in what is put into the document.
    pub(super) id: u16,
    /// In thousandths of the font's size.
    pub(super) width: f32,
}

/// A face of which some shapes are used.
pub(super) struct Used {
    face: Face,
    remapper: GlyphRemapper,
    /// By number, for whom and how wide.
    glyphs: BTreeMap<u16, (char, f32)>,
}

impl Used {
    pub(super) fn new(face: Face) -> Self {
        Self { face, remapper: GlyphRemapper::new(), glyphs: BTreeMap::new() }
    }

    /// The shape of a character, if there is one.
    pub(super) fn glyph(&mut self, char: char) -> Option<Glyph> {
        let face = ttf_parser::Face::parse(&self.face.data, self.face.index).ok()?;
        let old = face.glyph_index(char)?;
        let width = f32::from(face.glyph_hor_advance(old)?) * 1000.0 / f32::from(face.units_per_em().max(1));
        let id = self.remapper.remap(old.0);
        self.glyphs.entry(id).or_insert((char, width));
        Some(Glyph { id, width })
    }

    /// Puts the used shapes into a document, as `font`; `None` if they cannot be taken out of the face.
    pub(super) fn write(&self, pdf: &mut Pdf, font: Ref, next: &mut Ref, number: usize) -> Option<()> {
        const SYSTEM: SystemInfo<'_> =
            SystemInfo { registry: Str(b"Adobe"), ordering: Str(b"Identity"), supplement: 0 };
        let face = ttf_parser::Face::parse(&self.face.data, self.face.index).ok()?;
        let subset = subsetter::subset(&self.face.data, self.face.index, &self.remapper).ok()?;
        // Of PostScript shapes only their table is wanted.
        let postscript = RawFace::parse(&subset, 0).ok().and_then(|raw| raw.table(Tag::from_bytes(b"CFF ")));
        let program = deflated(postscript.unwrap_or(&subset));
        let scale = 1000.0 / f32::from(face.units_per_em().max(1));
        let name = format!("{}+Font{number}", tag(number));
        let (cid, descriptor, file, unicode) = (next.bump(), next.bump(), next.bump(), next.bump());

        pdf.type0_font(font)
            .base_font(Name(name.as_bytes()))
            .encoding_predefined(Name(b"Identity-H"))
            .descendant_font(cid)
            .to_unicode(unicode);
        let mut described = pdf.cid_font(cid);
        described
            .subtype(if postscript.is_some() { CidFontType::Type0 } else { CidFontType::Type2 })
            .base_font(Name(name.as_bytes()))
            .system_info(SYSTEM)
            .font_descriptor(descriptor)
            .default_width(0.0);
        if postscript.is_none() {
            described.cid_to_gid_map_predefined(Name(b"Identity"));
        }
        let mut widths = described.widths();
        for (id, (_, width)) in &self.glyphs {
            widths.same(*id, *id, *width);
        }
        widths.finish();
        described.finish();

        let bounds = face.global_bounding_box();
        let scaled = |value: i16| f32::from(value) * scale;
        let mut descriptor = pdf.font_descriptor(descriptor);
        descriptor
            .name(Name(name.as_bytes()))
            .flags(FontFlags::SYMBOLIC)
            .bbox(Rect::new(scaled(bounds.x_min), scaled(bounds.y_min), scaled(bounds.x_max), scaled(bounds.y_max)))
            .italic_angle(0.0)
            .ascent(scaled(face.ascender()))
            .descent(scaled(face.descender()))
            .cap_height(scaled(face.capital_height().unwrap_or_else(|| face.ascender())))
            .stem_v(80.0);
        match postscript {
            Some(_) => descriptor.font_file3(file),
            None => descriptor.font_file2(file),
        };
        descriptor.finish();

        let mut stream = pdf.stream(file, &program);
        stream.filter(Filter::FlateDecode);
        if postscript.is_some() {
            stream.pair(Name(b"Subtype"), Name(b"CIDFontType0C"));
        }
        stream.finish();

        // What is searched for and copied.
        let mut map = UnicodeCmap::new(Name(b"Custom"), SYSTEM);
        self.glyphs.iter().for_each(|(id, (char, _))| map.pair(*id, *char));
        let map = map.finish();
        pdf.cmap(unicode, &map).name(Name(b"Custom")).system_info(SYSTEM);
        Some(())
    }
}

/// Six letters that tell one subset from another (§9.6.4).
fn tag(number: usize) -> String {
    (0..6).rev().map(|place| char::from(b"ABCDEFGHIJ"[number / 10_usize.pow(place) % 10])).collect()
}

pub(super) fn deflated(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut packed = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    // Writing to memory cannot fail.
    let _ = packed.write_all(bytes);
    packed.finish().unwrap_or_default()
}
