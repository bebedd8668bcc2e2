//! A list to be printed, as PDF (mission I7): a table on as many pages as it takes, its head repeated, pages numbered. Fonts are within
//! it, so that it looks the same everywhere.

mod face;
mod wrap;

use crate::service::interchange::error::{InterchangeError, Result};
use crate::service::interchange::layout::Layout;
use face::{Glyph, Used, deflated};
use pdf_writer::types::TextRenderingMode;
use pdf_writer::{Content, Filter, Finish as _, Name, Pdf, Rect, Ref, Str, TextStr};
use std::collections::{BTreeSet, HashMap};
use unicode_normalization::UnicodeNormalization as _;
use wrap::wrapped;

pub use face::{Face, Faces};

/// A4 across, in points, and what stays white around it.
const PAGE: (f32, f32) = (841.89, 595.28);
const MARGIN: f32 = 36.0;
const FOOT: f32 = 20.0;
/// The size of the text, the distance of its lines, and around each cell.
const SIZE: f32 = 9.0;
const LINE: f32 = 12.0;
const PAD: f32 = 4.0;
/// The most columns that a page has room for.
const MOST_COLUMNS: usize = 12;
/// Missing characters that are told.
const TOLD: usize = 20;

/// A list that is being made. It is in memory until its end: some hundred bytes for each contact.
pub(super) struct List {
    pdf: Pdf,
    next: Ref,
    tree: Ref,
    pages: Vec<(Ref, Ref)>,
    content: Content,
    /// Where the next row begins, from the top; 0 before the first page.
    down: f32,
    head: Vec<String>,
    /// Where columns begin, and how wide they are.
    columns: Vec<(f32, f32)>,
    type_case: TypeCase,
}

/// One piece of a line: characters of one face.
type Run = (usize, Vec<u8>, f32);

impl List {
    /// # Errors
    /// More columns than a page has room for.
    pub(super) fn new(layout: &Layout) -> Result<Self> {
        if layout.columns.len() > MOST_COLUMNS {
            let what = format!(
                "a page has room for {MOST_COLUMNS} columns, and the layout has {}; name fewer fields, or the layout print",
                layout.columns.len()
            );
            return Err(InterchangeError::Unusable(what));
        }
        let mut next = Ref::new(1);
        let tree = next.bump();
        let weights: Vec<f32> = layout.columns.iter().map(|column| weight(column.fields[0].property())).collect();
        let all: f32 = weights.iter().sum();
        let room = PAGE.0 - 2.0 * MARGIN;
        let mut left = MARGIN;
        let columns = weights.iter().map(|weight| {
            let width = room * weight / all;
            left += width;
            (left - width, width)
        });
        Ok(Self {
            columns: columns.collect(),
            pdf: Pdf::new(),
            next,
            tree,
            pages: Vec::new(),
            content: Content::new(),
            down: 0.0,
            head: layout.columns.iter().map(|column| column.names[0].clone()).collect(),
            type_case: TypeCase { faces: None, used: Vec::new(), known: HashMap::new(), missing: BTreeSet::new() },
        })
    }

    pub(super) fn set_faces(&mut self, faces: Box<dyn Faces>) {
        self.type_case.faces = Some(faces);
    }

    pub(super) fn put(&mut self, cells: &[String]) {
        if self.down <= 0.0 {
            self.begin_page();
        }
        let widths = self.columns.iter().map(|(_, width)| width - 2.0 * PAD);
        let case = &mut self.type_case;
        let cells: Vec<Vec<String>> = cells
            .iter()
            .zip(widths)
            .map(|(cell, width)| {
                wrapped(&cell.nfc().collect::<String>(), width / SIZE * 1000.0, |char| case.width(char))
            })
            .collect();
        let mut rest: Vec<&[String]> = cells.iter().map(Vec::as_slice).collect();
        while let Some(most) = rest.iter().map(|lines| lines.len()).max().filter(|most| *most > 0) {
            let bottom = PAGE.1 - MARGIN - FOOT;
            let fits = ((bottom - self.down - 2.0 * PAD) / LINE).floor().max(0.0) as usize; // some dozens
            // A row is on one page, unless it is longer than one.
            let whole = ((bottom - MARGIN - LINE - 4.0 * PAD) / LINE) as usize;
            if fits < most.min(whole) {
                self.end_page();
                self.begin_page();
                continue;
            }
            let here = most.min(fits);
            let lines: Vec<&[String]> = rest.iter().map(|lines| &lines[..here.min(lines.len())]).collect();
            self.row(&lines, here, false);
            rest = rest.iter().map(|lines| &lines[here.min(lines.len())..]).collect();
        }
    }

    /// Draws a row of so many lines.
    fn row(&mut self, cells: &[&[String]], lines: usize, bold: bool) {
        let height = lines as f32 * LINE + 2.0 * PAD;
        let (top, bottom) = (PAGE.1 - self.down, PAGE.1 - self.down - height);
        if bold {
            self.content.set_fill_rgb(0.906, 0.929, 0.953);
            self.content.rect(MARGIN, bottom, PAGE.0 - 2.0 * MARGIN, height).fill_nonzero();
            self.content.set_fill_gray(0.0);
        }
        self.content.set_stroke_gray(0.75).set_line_width(0.5);
        self.content.move_to(MARGIN, bottom).line_to(PAGE.0 - MARGIN, bottom).stroke();
        for (cell, (left, _)) in cells.iter().zip(self.columns.clone()) {
            for (at, line) in cell.iter().enumerate() {
                let y = top - PAD - LINE * at as f32 - SIZE;
                let runs = self.type_case.runs(line);
                draw(&mut self.content, &runs, left + PAD, y, bold);
            }
        }
        self.down += height;
    }

    fn begin_page(&mut self) {
        self.down = MARGIN;
        let head: Vec<Vec<String>> = self.head.iter().map(|name| vec![name.clone()]).collect();
        let head: Vec<&[String]> = head.iter().map(Vec::as_slice).collect();
        self.row(&head, 1, true);
    }

    fn end_page(&mut self) {
        let (page, content) = (self.next.bump(), self.next.bump());
        let drawn = deflated(std::mem::replace(&mut self.content, Content::new()).finish().as_slice());
        self.pdf.stream(content, &drawn).filter(Filter::FlateDecode);
        self.pages.push((page, content));
    }

    /// The document.
    ///
    /// # Errors
    /// Characters that no font has.
    pub(super) fn finish(mut self) -> Result<Vec<u8>> {
        if self.down <= 0.0 {
            self.begin_page();
        }
        self.end_page();
        let count = self.pages.len();
        let mut feet = Vec::new();
        for number in 1..=count {
            let runs = self.type_case.runs(&format!("{number} / {count}"));
            let width: f32 = runs.iter().map(|(.., width)| width).sum();
            let mut content = Content::new();
            draw(&mut content, &runs, (PAGE.0 - width) / 2.0, MARGIN, false);
            feet.push(content.finish());
        }
        self.type_case.all_there()?;
        let fonts: Vec<Ref> = self.type_case.used.iter().map(|_| self.next.bump()).collect();
        for (number, (used, font)) in self.type_case.used.iter().zip(&fonts).enumerate() {
            used.write(&mut self.pdf, *font, &mut self.next, number).ok_or_else(|| {
                InterchangeError::Unusable("a font cannot be put into the document; name another one".to_owned())
            })?;
        }
        for ((page, content), foot) in self.pages.iter().zip(feet) {
            let foot_at = self.next.bump();
            self.pdf.stream(foot_at, &foot);
            let mut page = self.pdf.page(*page);
            page.media_box(Rect::new(0.0, 0.0, PAGE.0, PAGE.1)).parent(self.tree).contents_array([*content, foot_at]);
            let mut resources = page.resources();
            let mut named = resources.fonts();
            for (number, font) in fonts.iter().enumerate() {
                named.pair(Name(font_name(number).as_bytes()), font);
            }
        }
        let pages = self.pages.iter().map(|(page, _)| *page);
        self.pdf.pages(self.tree).kids(pages).count(i32::try_from(count).unwrap_or(i32::MAX));
        let (catalog, info) = (self.next.bump(), self.next.bump());
        self.pdf.catalog(catalog).pages(self.tree).finish();
        self.pdf.document_info(info).title(TextStr("Contacts")).producer(TextStr("syncml"));
        Ok(self.pdf.finish())
    }
}

/// How much of the page a column of this property takes.
fn weight(property: &str) -> f32 {
    match property {
        "ADR" | "NOTE" => 3.5,
        "EMAIL" | "URL" => 3.2,
        "FN" | "ORG" => 2.6,
        "TEL" => 2.8,
        _ => 2.0,
    }
}

fn font_name(number: usize) -> String {
    format!("F{number}")
}

fn draw(content: &mut Content, runs: &[Run], mut x: f32, y: f32, bold: bool) {
    for (face, text, width) in runs {
        content.begin_text();
        if bold {
            // The same shapes with a line around them: not every font has bold ones.
            content.set_text_rendering_mode(TextRenderingMode::FillStroke).set_line_width(0.3).set_stroke_gray(0.0);
        }
        content.set_font(Name(font_name(*face).as_bytes()), SIZE).next_line(x, y).show(Str(text));
        if bold {
            content.set_text_rendering_mode(TextRenderingMode::Fill);
        }
        content.end_text();
        x += width;
    }
}

/// The shapes at hand.
struct TypeCase {
    faces: Option<Box<dyn Faces>>,
    used: Vec<Used>,
    known: HashMap<char, Option<(usize, Glyph)>>,
    missing: BTreeSet<char>,
}

impl TypeCase {
    fn glyph(&mut self, char: char) -> Option<(usize, Glyph)> {
        if let Some(known) = self.known.get(&char) {
            return *known;
        }
        let found = self.find(char);
        if found.is_none() && !is_invisible(char) {
            self.missing.insert(char);
        }
        self.known.insert(char, found);
        found
    }

    fn find(&mut self, char: char) -> Option<(usize, Glyph)> {
        if is_invisible(char) {
            return None;
        }
        let here = self.used.iter_mut().enumerate().find_map(|(at, used)| Some((at, used.glyph(char)?)));
        here.or_else(|| {
            let mut used = Used::new(self.faces.as_mut()?.with(char)?);
            let glyph = used.glyph(char)?;
            self.used.push(used);
            Some((self.used.len() - 1, glyph))
        })
    }

    /// In thousandths of the font's size.
    fn width(&mut self, char: char) -> f32 {
        self.glyph(char).map_or(0.0, |(_, glyph)| glyph.width)
    }

    /// A line as pieces of one face each, with their widths in points.
    fn runs(&mut self, line: &str) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        for char in line.chars() {
            let Some((face, glyph)) = self.glyph(char) else { continue };
            if runs.last().is_none_or(|(last, ..)| *last != face) {
                runs.push((face, Vec::new(), 0.0));
            }
            if let Some((_, text, width)) = runs.last_mut() {
                text.extend(glyph.id.to_be_bytes());
                *width += glyph.width * SIZE / 1000.0;
            }
        }
        runs
    }

    fn all_there(&self) -> Result<()> {
        if self.missing.is_empty() {
            return Ok(());
        }
        let told = self.missing.iter().take(TOLD).map(|char| format!("{char} (U+{:04X})", u32::from(*char)));
        let told = told.collect::<Vec<_>>().join(", ");
        let more = match self.missing.len().saturating_sub(TOLD) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        Err(InterchangeError::Unusable(format!(
            "no font has {told}{more}; install one that does, or name it – Noto Sans CJK or WenQuanYi have Chinese, Japanese \
             and Korean (packages fonts-noto-cjk, fonts-wqy-microhei), Noto Sans and DejaVu most other scripts \
             (fonts-noto-core, fonts-dejavu-core)"
        )))
    }
}

/// Characters that nothing is drawn for: controls, marks of direction and of joining.
fn is_invisible(char: char) -> bool {
    char.is_control()
        || matches!(u32::from(char), 0xad | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x2064 | 0xfe00..=0xfe0f | 0xfeff)
}
