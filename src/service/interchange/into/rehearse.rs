//! An import that writes nothing, and tells what it would do.

use super::scan::{Here, look};
use super::{Answers, Import, Imported, Question, answer, question};
use crate::store::{Draft, ItemRow, StoreError};
use std::collections::HashSet;

/// What would have been added. It grows with the file, by a few numbers for each contact.
#[derive(Default)]
pub(super) struct Dream {
    prints: HashSet<[u8; 16]>,
    keys: HashSet<u64>,
}

/// What a contact would meet of what stands above it in the file.
enum Met {
    Nobody,
    Itself,
    /// One with a key in common.
    Another,
}

impl Dream {
    fn meets(&mut self, draft: &Draft<'_>) -> Met {
        let itself = !self.prints.insert(draft.fingerprint);
        let another = draft.keys.iter().any(|key| self.keys.contains(key));
        self.keys.extend(draft.keys.iter());
        match (itself, another) {
            (true, _) => Met::Itself,
            (false, true) => Met::Another,
            (false, false) => Met::Nobody,
        }
    }
}

impl Import<'_> {
    pub(super) fn rehearse(
        &mut self,
        drafts: &[Draft<'_>],
        answers: &Answers,
        done: &mut Imported,
        questions: &mut Vec<Question>,
    ) -> Result<(), StoreError> {
        let mut found = Vec::new();
        self.store.look(self.account, &mut |tx| {
            found = look(tx, self.book, drafts, &self.rules)?;
            Ok(())
        })?;
        let settled = self.decide.settled();
        let answer = |at, item: &ItemRow<'_>| settled.or_else(|| answer(answers, at, item));
        let asks = found.iter().enumerate().any(|(at, here)| match here {
            Here::Other(item) => answer(at, item).is_none(),
            _ => false,
        });
        for (at, (found, draft)) in found.into_iter().zip(drafts).enumerate() {
            match found {
                Here::Same(_) => done.known += 1,
                Here::Other(item) => match answer(at, &item) {
                    Some(choice) => done.count(choice),
                    None => questions.push(question(at, *item)),
                },
                Here::Nothing if asks => {}
                Here::Nothing => {
                    let Some(dream) = &mut self.dream else { continue };
                    match dream.meets(draft) {
                        Met::Itself => done.known += 1,
                        // What is made of that is asked then.
                        Met::Another => done.beside += 1,
                        Met::Nobody => done.added += 1,
                    }
                }
            }
        }
        Ok(())
    }
}
