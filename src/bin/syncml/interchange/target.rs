//! A file of contacts that is to be written, as the command line names it.

use super::fonts::Fonts;
use super::source::{Taken, charset, delimiter, layout};
use crate::failure::{Exit, Failure, Result};
use crate::output;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use syncml::contact::card::Charset;
use syncml::service::interchange::{Combiner, Field, InterchangeError, Target, Writer, Written};

#[derive(Debug, clap::Args)]
pub(super) struct TargetArgs {
    /// The file to write, a new one
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// What is written: vcard21, vcard30, vcard40, icloud, android; csv, tsv, outlook, google, thunderbird, phone; text; jcard; ldif;
    /// xlsx, ods, docx, pdf; else by the file's ending
    #[arg(long = "as", value_name = "TARGET")]
    target: Option<String>,
    /// The layout of tables, text and documents: outlook, google, thunderbird, phone, generic, print, or a file that says which columns, in
    /// which order, called what
    #[arg(long, value_name = "NAME|FILE")]
    layout: Option<String>,
    /// The language of the names of columns, where they have several: en or zh
    #[arg(long, value_name = "LANGUAGE", default_value = "en", value_parser = ["en", "zh"])]
    language: String,
    /// The charset of tables and text, such as gb18030; else that of the layout
    #[arg(long, value_name = "CHARSET", value_parser = charset)]
    charset: Option<Charset>,
    /// What separates the cells of tables: a character, or tab
    #[arg(long, value_name = "CHAR", value_parser = delimiter)]
    delimiter: Option<char>,
    /// A font for a PDF: a file, before those that the system has; can be given several times
    #[arg(long = "font", value_name = "FILE")]
    fonts: Vec<PathBuf>,
    /// Make one of contacts that are one: same name, and a number in common
    #[arg(long)]
    combine: bool,
}

/// What is being written.
pub(super) struct Output<'a> {
    args: &'a TargetArgs,
    writer: Writer<BufWriter<File>>,
    combiner: Option<Combiner>,
}

impl TargetArgs {
    fn target(&self, fields: Option<&[Field]>) -> Result<Target> {
        let ending = || self.to.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
        let name = self.target.clone().unwrap_or_else(ending);
        let mut target = Target::named(&name).ok_or_else(|| {
            let what = if self.target.is_some() { "--as" } else { "--to" };
            Failure::usage(format!(
                "{what}: {name:?} is nothing that can be written; `syncml convert --help` tells what can"
            ))
        })?;
        if let Some(own) = &self.layout {
            let own = layout(own)?;
            if target.layout().is_none() {
                return Err(Failure::usage("--layout: only tables, text and documents have one"));
            }
            target = target.in_layout(|_| own);
        }
        Ok(target.in_layout(|mut layout| {
            if let Some(fields) = fields {
                layout = layout.with_fields(fields);
            }
            if let Some(charset) = self.charset {
                layout = layout.with_charset(charset);
            }
            if let Some(changed) = self.delimiter.and_then(|delimiter| layout.clone().with_delimiter(delimiter)) {
                layout = changed;
            }
            layout.in_language(&self.language)
        }))
    }

    /// Makes the file, lets `fill` write it, and takes it away again if that fails.
    pub(super) fn write(
        &self,
        fields: Option<&[Field]>,
        fill: impl FnOnce(&mut Output<'_>) -> Result<()>,
    ) -> Result<(Written, u64)> {
        let target = self.target(fields)?;
        let faces = Fonts::new(&self.fonts)?;
        let opened = OpenOptions::new().write(true).create_new(true).open(&self.to);
        let file = opened.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => {
                Failure::new(Exit::File, format!("{} is there already; name a new file", self.to.display()))
            }
            _ => Failure::file(&self.to, "written", &error),
        })?;
        let done =
            Writer::new(BufWriter::new(file), target).map_err(|error| failed(&self.to, &error)).and_then(|writer| {
                let writer = writer.with_faces(Box::new(faces));
                let mut output = Output { args: self, writer, combiner: self.combine.then(Combiner::default) };
                fill(&mut output)?;
                output.finish()
            });
        if done.is_err() {
            drop(fs::remove_file(&self.to));
        }
        done
    }

    /// Says what was written, and what of it had no place there.
    pub(super) fn tell(&self, (written, combined): &(Written, u64), taken: &Taken, json: bool) -> Result<()> {
        if json {
            output::json(&serde_json::json!({
                "ok": taken.skipped.is_empty(),
                "written": written.contacts,
                "combined": combined,
                "left_out": written.left_out,
                "unknown_columns": taken.unknown.iter().flat_map(|(_, columns)| columns).collect::<Vec<_>>(),
                "skipped": taken.skipped_json(),
            }));
        } else {
            println!("{} written to {}", written.contacts, self.to.display());
            if *combined > 0 {
                println!("{combined} went into others that are the same contact");
            }
            if !written.left_out.is_empty() {
                let left: Vec<_> = written.left_out.iter().map(|(what, count)| format!("{what} ({count})")).collect();
                println!("left out, since there is no place for it: {}", left.join(", "));
            }
        }
        taken.tell();
        if taken.skipped.is_empty() { Ok(()) } else { Err(Failure::told(Exit::Problems)) }
    }
}

impl Output<'_> {
    pub(super) fn put(&mut self, card: Vec<u8>) -> Result<()> {
        match &mut self.combiner {
            Some(combiner) => {
                combiner.put(card);
                Ok(())
            }
            None => self.writer.put(&card).map_err(|error| failed(&self.args.to, &error)),
        }
    }

    fn finish(mut self) -> Result<(Written, u64)> {
        let mut combined = 0;
        if let Some(combiner) = self.combiner.take() {
            combined = combiner.combined();
            combiner.finish().into_iter().try_for_each(|card| self.put(card))?;
        }
        let failed = |error: &InterchangeError| failed(&self.args.to, error);
        let (out, written) = self.writer.finish().map_err(|error| failed(&error))?;
        let file = out.into_inner().map_err(|error| Failure::file(&self.args.to, "written", error.error()))?;
        file.sync_all().map_err(|error| Failure::file(&self.args.to, "written", &error))?;
        Ok((written, combined))
    }
}

fn failed(path: &Path, error: &InterchangeError) -> Failure {
    Failure::new(Exit::File, format!("{} cannot be written: {error}", path.display()))
}
