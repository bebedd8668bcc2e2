//! What a peer is not agreed on.

use super::support::*;
use crate::store::{AccountNo, DeviceNo, Guid, ItemRow, MapRow, MapState, Revision, Store};

const PHONE: DeviceNo = DeviceNo(1);
const TABLET: DeviceNo = DeviceNo(2);

type Found = Vec<(ItemRow<'static>, Option<MapRow>)>;

fn page(store: &dyn Store, account: AccountNo, after: i64, upto: i64, limit: usize) -> Outcome<Found> {
    let (after, upto) = (Revision(after), Revision(upto));
    Ok(read(store, account, |tx| tx.differences((PHONE, BOOK), 1, after, upto, limit))?)
}

/// Guid, revision and LUID of each.
fn short(found: &Found) -> Vec<(i64, i64, Option<&str>)> {
    let short = |(item, entry): &'_ (ItemRow<'_>, Option<MapRow>)| (item.guid.0, item.revision.0, entry.is_some());
    let luids = found.iter().map(|(_, entry)| entry.as_ref().map(|entry| entry.luid.as_str()));
    found.iter().map(short).zip(luids).map(|((guid, revision, _), luid)| (guid, revision, luid)).collect()
}

pub(super) fn differences(store: &dyn Store) -> Outcome {
    let ann = account(store, "ann")?;
    let at = |luid, guid, agreed| MapRow { agreed_revision: Revision(agreed), ..map_row(1, luid, guid) };
    same("of a book that is not there", page(store, ann, 0, i64::MAX, 9)?, vec![])?;
    write(store, ann, |tx| {
        // Guids 1 to 8; then 9 to 14 change some of them.
        add(tx, BOOK, &["one", "two", "three", "four", "five", "six", "seven", "eight"])?;
        replace(tx, BOOK, Guid(2), "zwei")?;
        replace(tx, BOOK, Guid(3), "drei")?;
        replace(tx, BOOK, Guid(4), "vier")?;
        delete(tx, BOOK, Guid(5))?;
        delete(tx, BOOK, Guid(6))?;
        delete(tx, BOOK, Guid(7))?;
        add(tx, OTHER_BOOK, &["one", "two"])?;
        // Agreed: 1 (even later), 3 and, deleted, 6. Not agreed: 2 and 4, agreed earlier; 5, whose delete is not told; 8, never
        // told. 7 was deleted before it was told.
        tx.put_maps(PHONE, BOOK, &[at("a", 1, 99), at("b", 2, 2), at("c", 3, 10), at("d", 4, 10), at("e", 5, 5)])?;
        tx.put_maps(PHONE, BOOK, &[at("f", 6, 13)])?;
        // Entries of other pairs and epochs mean nothing here.
        tx.put_maps(PHONE, BOOK, &[MapRow { epoch: 2, ..at("h", 8, 99) }])?;
        tx.put_maps(TABLET, BOOK, &[at("h", 8, 99)])?;
        tx.put_maps(PHONE, OTHER_BOOK, &[at("h", 8, 99), at("b", 2, 99)])
    })?;
    let all = page(store, ann, 0, i64::MAX, usize::MAX)?;
    let wanted = vec![(8, 8, None), (2, 9, Some("b")), (4, 11, Some("d")), (5, 12, Some("e"))];
    same("all, by revision", short(&all), wanted)?;
    let items = read(store, ann, |tx| tx.items(BOOK, &[8, 2, 4, 5].map(Guid)))?;
    same("the items", all.iter().map(|(item, _)| Some(item.clone())).collect(), items)?;
    let entries = vec![None, Some(at("b", 2, 2)), Some(at("d", 4, 10)), Some(at("e", 5, 5))];
    same("their entries", all.iter().map(|(_, entry)| entry.clone()).collect(), entries)?;
    same("a page", short(&page(store, ann, 0, 14, 2)?), short(&all[..2].to_vec()))?;
    same("within bounds", short(&page(store, ann, 8, 11, 9)?), short(&all[1..3].to_vec()))?;
    same("with the last one within", short(&page(store, ann, 0, 8, 9)?), short(&all[..1].to_vec()))?;
    same("none", page(store, ann, 0, 14, 0)?, vec![])?;
    for (after, upto) in [(12, 14), (8, 8), (14, 0), (i64::MAX, i64::MAX)] {
        same("of an empty range", page(store, ann, after, upto, 9)?, vec![])?;
    }
    for state in MapState::ALL {
        write(store, ann, |tx| tx.put_maps(PHONE, BOOK, &[MapRow { state, ..at("d", 4, 10) }]))?;
        let luid = Some("d").filter(|_| state != MapState::Gone);
        same("the entry in each state", short(&page(store, ann, 9, 11, 9)?), vec![(4, 11, luid)])?;
    }
    let gone = |luid, guid| MapRow { state: MapState::Gone, ..at(luid, guid, 99) };
    write(store, ann, |tx| tx.put_maps(PHONE, BOOK, &[gone("a", 1), gone("e", 5), at("z", 8, 8)]))?;
    let wanted = vec![(1, 1, None), (2, 9, Some("b")), (4, 11, Some("d"))];
    same("retired entries do not count", short(&page(store, ann, 0, 99, 9)?), wanted)?;
    let elsewhere =
        read(store, ann, |tx| tx.differences((TABLET, OTHER_BOOK), 1, Revision(0), ALL, 9)).map(|found| found.len())?;
    same("of another pair", elsewhere, 2)
}

pub(super) fn differences_in_pages(store: &dyn Store) -> Outcome {
    const COUNT: i64 = 1_500;
    let ann = account(store, "ann")?;
    let texts = (0..COUNT).map(|number| number.to_string()).collect::<Vec<_>>();
    let texts = texts.iter().map(String::as_str).collect::<Vec<_>>();
    write(store, ann, |tx| {
        add(tx, BOOK, &texts)?;
        // Most of the first two thirds are changed, a few of the others; long rows of each kind are agreed.
        let mut writer = writer(tx, BOOK)?;
        let guids = (1..=COUNT).filter(|guid| (guid % 5 != 0) == (*guid <= COUNT / 3 * 2)).map(Guid);
        for old in tx.items(BOOK, &guids.collect::<Vec<_>>())?.into_iter().flatten() {
            writer.replace(&old, draft("new"));
        }
        writer.flush(tx)?;
        let items = tx.changes(BOOK, Revision(0), ALL, usize::MAX)?;
        let agreed = items.iter().filter(|item| item.guid.0 % 7 != 0 || (400..1_400).contains(&item.guid.0));
        let agreed = agreed.map(|item| MapRow {
            agreed_revision: if item.guid.0 % 11 == 0 { Revision(0) } else { item.revision },
            ..map_row(1, &format!("l{}", item.guid), item.guid.0)
        });
        tx.put_maps(PHONE, BOOK, &agreed.collect::<Vec<_>>())
    })?;
    let (items, entries) = read(store, ann, |tx| {
        let items = tx.changes(BOOK, Revision(0), ALL, usize::MAX)?;
        let guids = items.iter().map(|item| item.guid).collect::<Vec<_>>();
        Ok((items, tx.maps_by_guid(PHONE, BOOK, 1, &guids)?))
    })?;
    // By definition, from all items and all entries.
    let differs = |item: &ItemRow<'_>, entry: &Option<MapRow>| match entry {
        None => !item.deleted,
        Some(entry) => entry.agreed_revision < item.revision,
    };
    let wanted = items.into_iter().zip(entries).filter(|(item, entry)| differs(item, entry)).collect::<Found>();
    holds("the sample has enough of them", wanted.len() > 150)?;
    for limit in [1, 7, 100, 100_000] {
        let (mut found, mut after) = (Found::new(), 0);
        loop {
            let next = page(store, ann, after, i64::MAX, limit)?;
            let Some((last, _)) = next.last() else { break };
            same("a page is as long as asked", next.len(), limit.min(wanted.len() - found.len()))?;
            holds("a page begins after the last", next[0].0.revision.0 > after)?;
            after = last.revision.0;
            found.extend(next);
        }
        same("pages, put together", short(&found), short(&wanted))?;
    }
    for (after, upto) in [(0, i64::MAX), (0, 700), (700, COUNT), (COUNT, COUNT + 500), (COUNT, COUNT), (9, 3)] {
        let range = |revision: i64| after < revision && revision <= upto;
        let wanted = wanted.iter().filter(|(item, _)| range(item.revision.0)).count() as u64;
        let (after, upto) = (Revision(after), Revision(upto));
        let counted = read(store, ann, |tx| tx.count_differences((PHONE, BOOK), 1, after, upto))?;
        same("counted", counted, wanted)?;
    }
    let counted = |pair, epoch| read(store, ann, move |tx| tx.count_differences(pair, epoch, Revision(0), ALL));
    same("counted in another epoch", counted((PHONE, BOOK), 2)?, COUNT as u64)?;
    same("counted in another book", counted((PHONE, OTHER_BOOK), 1)?, 0)
}
