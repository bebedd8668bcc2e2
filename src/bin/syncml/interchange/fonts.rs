//! The fonts of a PDF: those that were named, then those that the system has.

use crate::failure::{Failure, Result};
use fontdb::{Database, FaceInfo, Stretch, Style, Weight};
use std::fs;
use std::path::{Path, PathBuf};
use syncml::service::interchange::{Face, Faces};

/// Families that are looked at first: plain ones of many scripts, then those with Chinese, Japanese and Korean.
const FIRST: [&str; 22] = [
    "DejaVu Sans",
    "Noto Sans",
    "Liberation Sans",
    "Arial",
    "Helvetica",
    "Segoe UI",
    "Noto Sans CJK SC",
    "Noto Sans SC",
    "Source Han Sans SC",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "Microsoft YaHei",
    "PingFang SC",
    "Hiragino Sans GB",
    "SimHei",
    "SimSun",
    "Noto Sans CJK TC",
    "Noto Sans CJK JP",
    "Noto Sans CJK KR",
    "Yu Gothic",
    "Malgun Gothic",
    "Droid Sans Fallback",
];

/// The most faces of one file that was named.
const MOST_FACES: u32 = 64;

/// Where faces are looked for.
pub(super) struct Fonts {
    /// Named, with their files' contents.
    named: Vec<(Vec<u8>, u32)>,
    system: Option<Database>,
}

impl Fonts {
    pub(super) fn new(files: &[PathBuf]) -> Result<Self> {
        let mut named = Vec::new();
        for path in files {
            named.push(face_of(path)?);
        }
        Ok(Self { named, system: None })
    }

    fn of_the_system(&mut self, char: char) -> Option<Face> {
        let fonts = self.system.get_or_insert_with(|| {
            let mut fonts = Database::new();
            fonts.load_system_fonts();
            fonts
        });
        let mut faces: Vec<&FaceInfo> = fonts.faces().collect();
        faces.sort_by_cached_key(|face| rank(face));
        let has = |face: &&FaceInfo| fonts.with_face_data(face.id, |data, index| Face::has(data, index, char));
        let found = faces.into_iter().find(|face| has(face) == Some(true))?;
        fonts.with_face_data(found.id, |data, index| Face::new(data.to_vec(), index))?
    }
}

impl Faces for Fonts {
    fn with(&mut self, char: char) -> Option<Face> {
        let named = self.named.iter().find(|(data, index)| Face::has(data, *index, char));
        named.and_then(|(data, index)| Face::new(data.clone(), *index)).or_else(|| self.of_the_system(char))
    }
}

/// The first face of a file that can be used.
fn face_of(path: &Path) -> Result<(Vec<u8>, u32)> {
    let data = fs::read(path).map_err(|error| Failure::file(path, "read", &error))?;
    match (0..MOST_FACES).find(|index| Face::is_usable(&data, *index)) {
        Some(index) => Ok((data, index)),
        None => Err(Failure::usage(format!(
            "{}: no font that can be put into a document (TrueType or OpenType, and its maker has to allow it)",
            path.display()
        ))),
    }
}

/// Upright and of usual weight before others, known families before those, and always in the same order.
fn rank(face: &FaceInfo) -> (bool, usize, bool, String, u32) {
    let plain = face.style == Style::Normal && face.weight == Weight::NORMAL && face.stretch == Stretch::Normal;
    let names = || face.families.iter().map(|(name, _)| name.as_str());
    let place = FIRST.iter().position(|first| names().any(|name| name == *first)).unwrap_or(FIRST.len());
    (!plain, place, face.monospaced, face.post_script_name.clone(), face.index)
}
