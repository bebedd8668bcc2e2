//! Messages written to files as they were on the wire.

use crate::failure::{Failure, Result};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use syncml::codec::Encoding;

/// A folder that gets every message. They hold cards and digests of credentials, so only their owner may read them.
pub(crate) struct Trace {
    folder: PathBuf,
}

impl Trace {
    pub(crate) fn into(folder: &Path) -> Result<Self> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(folder).map_err(|error| Failure::file(folder, "made", &error))?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// Writes message `number`; a trace that fails does not stop a sync.
    pub(crate) fn write(&self, number: u32, way: &str, content_type: &str, body: &[u8]) {
        let ending = match Encoding::from_content_type(content_type) {
            Some(Encoding::Wbxml) => "wbxml",
            _ => "xml",
        };
        let path = self.folder.join(format!("{number:03}-{way}.{ending}"));
        if let Err(error) = create(&path).and_then(|mut file| file.write_all(body)) {
            eprintln!("syncml: {} cannot be written: {error}", path.display());
        }
    }
}

/// A new file: one that stands there already, perhaps open to all, would keep its permissions.
fn create(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = File::options();
    options.create_new(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
