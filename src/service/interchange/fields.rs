//! Records whose values have names – rows, objects of a customer system –, as a layout says what the names mean.

use super::cells::{LeftOut, cells};
use super::error::{InterchangeError, Result};
use super::layout::Layout;
use super::record::Record;
use crate::contact::card::{Card, decode_document};

impl Layout {
    /// The card of a record: values by the names of this layout's columns. What no column is called is kept as
    /// [`COLUMN`](super::COLUMN). `None` if nothing is said that a card could say.
    #[must_use]
    pub fn card<'v>(&self, values: impl IntoIterator<Item = (&'v str, &'v str)>) -> Option<Vec<u8>> {
        let (names, values): (Vec<String>, Vec<&str>) =
            values.into_iter().map(|(name, value)| (name.to_owned(), value)).unzip();
        let mut record = Record::default();
        for ((name, field), value) in names.iter().zip(self.fields_of(&names)).zip(values) {
            match field {
                Some(field) => record.put(&field, value),
                None => record.put_other(name, value),
            }
        }
        record.card(self.dates)
    }

    /// The values of a card, by the names of the columns, one for each; and what of it has no place among them.
    ///
    /// # Errors
    /// Bytes that are no card.
    pub fn values(&self, card: &[u8]) -> Result<(Vec<(String, String)>, LeftOut)> {
        let content = decode_document(card);
        let card = Card::parse(&content).map_err(|error| InterchangeError::Unusable(error.to_string()))?;
        let mut left = LeftOut::new();
        let cells = cells(&card, self, &mut left);
        let names = self.columns.iter().map(|column| column.names[0].clone());
        Ok((names.zip(cells).collect(), left))
    }
}

#[cfg(test)]
mod tests {
    use super::Layout;

    #[test]
    fn i1_records_of_customer_systems_become_cards_and_come_back() {
        let layout: Layout = "[columns]\nname.full = fn\nphones.mobile = tel.mobile\nmail = email\n".parse().unwrap();
        let said = [("name.full", "Ann Doe"), ("phones.mobile", "5550001"), ("vip", "yes"), ("mail", "")];
        let card = layout.card(said).unwrap();
        let text = String::from_utf8(card.clone()).unwrap();
        assert!(text.contains("TEL;TYPE=cell:5550001") && text.contains("X-COLUMN;X-NAME=vip:yes"), "{text}");
        let (values, left) = layout.values(&card).unwrap();
        let values: Vec<_> = values.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(values, [("name.full", "Ann Doe"), ("phones.mobile", "5550001"), ("mail", "")]);
        assert_eq!(left.into_iter().collect::<Vec<_>>(), [("X-COLUMN vip".to_owned(), 1)]);
        assert_eq!(layout.card([("mail", " ")]), None);
        assert!(layout.values(b"no card").is_err());
    }
}
