//! A book seen through its dimensions (missions B3 and B5).

use crate::contact::lens::{Lens, put, view};
use crate::store::replica::{Applied, Book, BookOp, Entry, Versioned};

/// A book of which only the dimensions of a layout take part in a sync: what is read is aligned to them, and what is written
/// leaves the rest of a record as it is.
#[derive(Debug)]
pub struct Aligned<'b, B: ?Sized> {
    book: &'b mut B,
    lens: Lens,
}

impl<'b, B: Book + ?Sized> Aligned<'b, B> {
    /// The book, through [`Layout::lens`](super::Layout::lens).
    pub const fn new(book: &'b mut B, lens: Lens) -> Self {
        Self { book, lens }
    }

    /// What of a record takes part.
    fn taken(&self, content: Vec<u8>) -> Vec<u8> {
        let shown = if self.lens.is_whole() { None } else { view(&content, &self.lens) };
        shown.unwrap_or(content)
    }

    /// What a record is given: what comes, as far as it is in the dimensions, and what it has besides.
    fn given(&mut self, id: Option<&str>, content: &[u8]) -> Result<Vec<u8>, String> {
        let shown = view(content, &self.lens).unwrap_or_else(|| content.to_vec());
        let Some(id) = id else { return Ok(shown) };
        let Some(here) = self.book.read(id)? else { return Ok(shown) };
        Ok(put(&here, &shown, &self.lens, &self.lens).map_or(shown, |put| put.whole))
    }
}

impl<B: Book + ?Sized> Book for Aligned<'_, B> {
    fn entries(&mut self) -> Result<Vec<Entry>, String> {
        self.book.entries()
    }

    fn versions(&mut self, ids: &[&str]) -> Result<Vec<Option<Vec<u8>>>, String> {
        self.book.versions(ids)
    }

    fn read(&mut self, id: &str) -> Result<Option<Vec<u8>>, String> {
        Ok(self.book.read(id)?.map(|content| self.taken(content)))
    }

    fn read_unknown(&mut self, id: &str, known: &dyn Fn(&[u8]) -> bool) -> Result<Option<Versioned>, String> {
        let found = self.book.read_unknown(id, known)?;
        Ok(found.map(|found| Versioned { content: self.taken(found.content), ..found }))
    }

    fn is_durable(&self) -> bool {
        self.book.is_durable()
    }

    fn persist(&mut self) -> Result<(), String> {
        self.book.persist()
    }

    fn apply(&mut self, ops: &[BookOp<'_>]) -> Result<Vec<Applied>, String> {
        if self.lens.is_whole() {
            return self.book.apply(ops);
        }
        let mut contents = Vec::with_capacity(ops.len());
        for op in ops {
            contents.push(match *op {
                BookOp::Add { content, .. } => self.given(None, content)?,
                // What cannot be read any more was changed meanwhile, which the book will find itself.
                BookOp::Replace { id, content, .. } => {
                    self.given(Some(id), content).unwrap_or_else(|_| content.to_vec())
                }
                BookOp::Delete { .. } => Vec::new(),
            });
        }
        let aligned: Vec<BookOp<'_>> = (ops.iter().zip(&contents))
            .map(|(op, content)| match *op {
                BookOp::Add { key, .. } => BookOp::Add { key, content },
                BookOp::Replace { id, expected, .. } => BookOp::Replace { id, expected, content },
                BookOp::Delete { id, expected } => BookOp::Delete { id, expected },
            })
            .collect();
        self.book.apply(&aligned)
    }
}

#[cfg(test)]
mod tests {
    use super::{Aligned, Applied, Book, BookOp, Entry};
    use crate::service::book::Layout;

    /// Records by number.
    struct Shelf(Vec<Vec<u8>>);

    impl Book for Shelf {
        fn entries(&mut self) -> Result<Vec<Entry>, String> {
            let entry = |(at, content): (usize, &Vec<u8>)| Entry { id: at.to_string(), version: content.clone() };
            Ok(self.0.iter().enumerate().map(entry).collect())
        }

        fn versions(&mut self, ids: &[&str]) -> Result<Vec<Option<Vec<u8>>>, String> {
            ids.iter().map(|id| self.read(id)).collect()
        }

        fn read(&mut self, id: &str) -> Result<Option<Vec<u8>>, String> {
            Ok(id.parse::<usize>().ok().and_then(|at| self.0.get(at).cloned()))
        }

        fn apply(&mut self, ops: &[BookOp<'_>]) -> Result<Vec<Applied>, String> {
            let mut done = Vec::new();
            for op in ops {
                let at = match *op {
                    BookOp::Add { content, .. } => {
                        self.0.push(content.to_vec());
                        self.0.len() - 1
                    }
                    BookOp::Replace { id, content, .. } => {
                        let at = id.parse().map_err(|_| "no number".to_owned())?;
                        self.0[at] = content.to_vec();
                        at
                    }
                    BookOp::Delete { .. } => continue,
                };
                done.push(Applied::Done(Entry { id: at.to_string(), version: self.0[at].clone() }));
            }
            Ok(done)
        }
    }

    fn card(lines: &str) -> Vec<u8> {
        format!("BEGIN:VCARD\r\nVERSION:3.0\r\nN:Doe;Jo;;;\r\nFN:Jo Doe\r\n{lines}END:VCARD\r\n").into_bytes()
    }

    #[test]
    fn only_the_dimensions_take_part() {
        let layout = r#"{"dimensions":[{"property":"N"},{"property":"FN"},{"property":"TEL"}]}"#;
        let lens = Layout::read(layout).unwrap().lens();
        let mut shelf = Shelf(vec![card("TEL:1\r\nNOTE:mine\r\nX-ODD:kept\r\n"), b"no card".to_vec()]);
        let mut aligned = Aligned::new(&mut shelf, lens);
        assert_eq!(aligned.read("0").unwrap(), Some(card("TEL:1\r\n")));
        assert_eq!(aligned.read("1").unwrap(), Some(b"no card".to_vec()), "whoever takes it will say what is wrong");
        let (new, more) = (card("TEL:2\r\n"), card("TEL:3\r\nNOTE:theirs\r\n"));
        let version = aligned.entries().unwrap()[0].version.clone();
        let ops =
            [BookOp::Replace { id: "0", expected: &version, content: &new }, BookOp::Add { key: "k", content: &more }];
        aligned.apply(&ops).unwrap();
        let given = String::from_utf8_lossy(&shelf.0[0]).into_owned();
        let mut lines: Vec<&str> =
            given.lines().filter(|line| !line.contains("VCARD") && !line.starts_with('V')).collect();
        lines.sort_unstable();
        assert_eq!(lines, ["FN:Jo Doe", "N:Doe;Jo;;;", "NOTE:mine", "TEL:2", "X-ODD:kept"]);
        assert_eq!(shelf.0[2], card("TEL:3\r\n"), "what is not in the dimensions does not come down");
        let whole = Layout::default().lens();
        Aligned::new(&mut shelf, whole).apply(&[BookOp::Add { key: "k", content: &more }]).unwrap();
        assert_eq!(shelf.0[3], more);
    }
}
