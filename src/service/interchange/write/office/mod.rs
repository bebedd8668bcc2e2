//! Documents of office programs (mission I7), written as streams: memory does not grow with them.

mod archive;
mod docx;
mod ods;
mod text;
mod xlsx;

use super::Target;
use crate::service::interchange::cells::LeftOut;
use crate::service::interchange::error::Result;
use crate::service::interchange::layout::Layout;
use std::io::Write;

pub(in crate::service::interchange) use docx::MOST_COLUMNS as DOCX_COLUMNS;
pub(super) use text::is_forbidden;

/// A document that is being written.
pub(super) enum Document<W: Write> {
    Xlsx(xlsx::Xlsx<W>),
    Ods(ods::Ods<W>),
    Docx(docx::Docx<W>),
}

impl<W: Write> Document<W> {
    pub(super) fn new(out: W, target: &Target, layout: &Layout) -> Result<Self> {
        let names: Vec<String> = layout.columns.iter().map(|column| column.names[0].clone()).collect();
        Ok(match target {
            Target::Ods(_) => Self::Ods(ods::Ods::new(out, &names)?),
            Target::Docx(_) => Self::Docx(docx::Docx::new(out, layout)?),
            _ => Self::Xlsx(xlsx::Xlsx::new(out, &names)?),
        })
    }

    /// Writes a row; what has no place in it is counted.
    pub(super) fn put(&mut self, cells: &mut [String], left: &mut LeftOut) -> Result<()> {
        if let Self::Xlsx(_) = self {
            for cell in cells.iter_mut().filter(|cell| cell.len() > xlsx::MOST_TEXT) {
                // Excel counts in UTF-16.
                let (mut units, most) = (0, xlsx::MOST_TEXT);
                let cut = cell.char_indices().find(|(_, char)| {
                    units += char.len_utf16();
                    units > most
                });
                if let Some((at, _)) = cut {
                    cell.truncate(at);
                    *left.entry(format!("text beyond {most} characters")).or_default() += 1;
                }
            }
        }
        match self {
            Self::Xlsx(sheet) => sheet.put(cells),
            Self::Ods(sheet) => sheet.put(cells),
            Self::Docx(document) => document.put(cells),
        }
    }

    pub(super) fn finish(self) -> Result<W> {
        match self {
            Self::Xlsx(sheet) => sheet.finish(),
            Self::Ods(sheet) => sheet.finish(),
            Self::Docx(document) => document.finish(),
        }
    }
}
