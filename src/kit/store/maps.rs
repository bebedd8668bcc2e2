//! Pairs and map entries.

use super::support::*;
use crate::store::{AccountNo, DeviceNo, Guid, LensNo, MapRow, MapState, PairRow, Phase, Revision, Store};

const PHONE: DeviceNo = DeviceNo(1);
const TABLET: DeviceNo = DeviceNo(2);

pub(super) fn pairs(store: &dyn Store) -> Outcome {
    let ann = account(store, "ann")?;
    let pair = |device, book| read(store, ann, move |tx| tx.pair(device, book));
    same("an unknown pair", pair(PHONE, BOOK)?, None)?;
    let full = pair_row(PHONE, BOOK);
    let mut rows = vec![full.clone(), PairRow::new(PHONE, BOOK)];
    for phase in [Phase::Idle, Phase::Receiving, Phase::Settling, Phase::Sending, Phase::Confirming] {
        rows.push(PairRow { phase, sync_type: u16::MAX, last_type: u16::MAX, ..full.clone() });
    }
    for row in rows {
        write(store, ann, |tx| tx.put_pair(&row))?;
        same("the pair", pair(PHONE, BOOK)?, Some(row))?;
    }
    same("with another device", pair(TABLET, BOOK)?, None)?;
    same("with another book", pair(PHONE, OTHER_BOOK)?, None)
}

pub(super) fn lenses(store: &dyn Store) -> Outcome {
    let (ann, bob) = (account(store, "ann")?, account(store, "bob")?);
    let lens = |who, number| read(store, who, move |tx| tx.lens(LensNo(number)));
    same("an unknown lens", lens(ann, 1)?, None)?;
    let long = vec![0xFF; 20_000];
    for (number, value) in [(i64::MIN, &b""[..]), (-1, b"{}"), (0, b"zero"), (i64::MAX, &long)] {
        write(store, ann, |tx| tx.put_lens(LensNo(number), value))?;
        same("the lens", lens(ann, number)?, Some(value.to_vec()))?;
    }
    write(store, ann, |tx| tx.put_lens(LensNo(-1), b"another"))?;
    same("what it stands for", lens(ann, -1)?, Some(b"{}".to_vec()))?;
    same("of another account", lens(bob, -1)?, None)
}

fn put(store: &dyn Store, account: AccountNo, rows: &[MapRow]) -> crate::store::Result<()> {
    write(store, account, |tx| tx.put_maps(PHONE, BOOK, rows))
}

fn by_luid(store: &dyn Store, account: AccountNo, epoch: i64, luids: &[&str]) -> Outcome<Vec<Option<MapRow>>> {
    Ok(read(store, account, |tx| tx.maps_by_luid(PHONE, BOOK, epoch, luids))?)
}

fn by_guid(store: &dyn Store, account: AccountNo, epoch: i64, guids: &[i64]) -> Outcome<Vec<Option<MapRow>>> {
    let guids = guids.iter().copied().map(Guid).collect::<Vec<_>>();
    Ok(read(store, account, |tx| tx.maps_by_guid(PHONE, BOOK, epoch, &guids))?)
}

pub(super) fn map_rows(store: &dyn Store) -> Outcome {
    let ann = account(store, "ann")?;
    let long = "x".repeat(5_000);
    // Looking alike, or like a number, is not being the same.
    let luids = [
        "7",
        "07",
        "007",
        "+7",
        "-7",
        " 7",
        "7 ",
        "7.0",
        "7e0",
        "0",
        "00",
        "-0",
        "",
        "a",
        "A",
        "ä",
        "\u{61}\u{308}",
        "'\"\\%_",
        "9223372036854775807",
        "9223372036854775808",
        "999999999999999999",
        "٣",
        "/a/b?c=d",
        &long,
    ];
    let rows = (1..).zip(luids).map(|(guid, luid)| map_row(1, luid, guid)).collect::<Vec<_>>();
    put(store, ann, &[])?;
    put(store, ann, &rows)?;
    same("by luid", by_luid(store, ann, 1, &luids)?, rows.iter().cloned().map(Some).collect())?;
    let found = by_luid(store, ann, 1, &["a", "7", "none", "a", "8"])?;
    let row = |number: usize| rows.get(number).cloned();
    same("by luid, twice, unknown", found, vec![row(13), row(0), None, row(13), None])?;
    same("by guid, twice, unknown", by_guid(store, ann, 1, &[2, 1, 99, 2])?, vec![row(1), row(0), None, row(1)])?;
    same("asked for nothing", by_luid(store, ann, 1, &[])?.len() + by_guid(store, ann, 1, &[])?.len(), 0)?;
    same("in another epoch", by_luid(store, ann, 2, &["7"])?, vec![None])?;
    same("in another epoch, by guid", by_guid(store, ann, 2, &[1])?, vec![None])?;
    let elsewhere = read(store, ann, |tx| {
        Ok((tx.maps_by_luid(TABLET, BOOK, 1, &["7"])?, tx.maps_by_guid(PHONE, OTHER_BOOK, 1, &[Guid(1)])?))
    })?;
    same("of another device or book", elsewhere, (vec![None], vec![None]))?;
    for state in MapState::ALL {
        let row = MapRow {
            agreed_revision: Revision(i64::MAX),
            lens: Some(LensNo(4)),
            view_fp: [9; 16],
            state,
            ..map_row(1, "7", 1)
        };
        put(store, ann, std::slice::from_ref(&row))?;
        same("after an update, by luid", by_luid(store, ann, 1, &["7"])?, vec![Some(row.clone())])?;
        let wanted = Some(row).filter(|_| state != MapState::Gone);
        same("after an update, by guid", by_guid(store, ann, 1, &[1])?, vec![wanted])?;
    }
    Ok(())
}

pub(super) fn maps_stay_one_to_one(store: &dyn Store) -> Outcome {
    let ann = account(store, "ann")?;
    let (one, two) = (map_row(1, "1", 1), map_row(1, "2", 2));
    put(store, ann, &[one.clone(), two.clone()])?;
    for state in MapState::ALL {
        let row = MapRow { state, ..map_row(1, "1", 3) };
        refused("re-pointing a live entry", put(store, ann, &[map_row(1, "4", 4), row]))?;
    }
    refused("a second entry of an item", put(store, ann, &[map_row(1, "4", 4), map_row(1, "3", 1)]))?;
    refused("two entries of an item in one batch", put(store, ann, &[map_row(1, "5", 5), map_row(1, "6", 5)]))?;
    for state in [MapState::Filtered, MapState::SoftDeleted, MapState::Refused, MapState::Held] {
        put(store, ann, &[MapRow { state, ..one.clone() }])?;
        refused("re-pointing an entry that is not retired", put(store, ann, &[map_row(1, "1", 3)]))?;
    }
    let luids = ["1", "2", "3", "4", "5", "6"];
    let held = MapRow { state: MapState::Held, ..one };
    let wanted = vec![Some(held), Some(two), None, None, None, None];
    same("nothing of all this is left", by_luid(store, ann, 1, &luids)?, wanted)?;
    put(store, ann, &[map_row(2, "1", 3), map_row(2, "7", 1)])?;
    same("another epoch is another map", by_guid(store, ann, 2, &[1])?, vec![Some(map_row(2, "7", 1))])
}

pub(super) fn maps_retired(store: &dyn Store) -> Outcome {
    let ann = account(store, "ann")?;
    let gone = |luid, guid| MapRow { state: MapState::Gone, ..map_row(1, luid, guid) };
    put(store, ann, &[map_row(1, "1", 1)])?;
    put(store, ann, &[gone("1", 1)])?;
    same("by luid", by_luid(store, ann, 1, &["1"])?, vec![Some(gone("1", 1))])?;
    same("by guid", by_guid(store, ann, 1, &[1])?, vec![None])?;
    // The device uses the LUID again, and the item gets another.
    put(store, ann, &[map_row(1, "1", 2), map_row(1, "2", 1)])?;
    same("by guid again", by_guid(store, ann, 1, &[1, 2])?, vec![Some(map_row(1, "2", 1)), Some(map_row(1, "1", 2))])?;
    // Retired and replaced in one batch, in this order.
    put(store, ann, &[gone("2", 1), map_row(1, "3", 1), gone("8", 1), gone("9", 1)])?;
    same("by guid at the end", by_guid(store, ann, 1, &[1])?, vec![Some(map_row(1, "3", 1))])?;
    put(store, ann, &[gone("3", 1), map_row(1, "8", 1)])?;
    same("an entry may come back", by_guid(store, ann, 1, &[1])?, vec![Some(map_row(1, "8", 1))])
}

pub(super) fn maps_carried(store: &dyn Store) -> Outcome {
    let ann = account(store, "ann")?;
    let held = MapRow { state: MapState::Held, lens: Some(LensNo(2)), ..map_row(1, "e", 5) };
    let gone = MapRow { state: MapState::Gone, ..map_row(1, "f", 6) };
    let old =
        [map_row(1, "a", 1), map_row(1, "b", 2), map_row(1, "c", 3), map_row(1, "d", 4), held.clone(), gone.clone()];
    let retired = MapRow { state: MapState::Gone, ..map_row(2, "y", 4) };
    // In the new epoch: the luid of `b`, the guid of `c`, and, retired, the guid of `d`.
    let new = [map_row(2, "b", 8), map_row(2, "x", 3), retired];
    put(store, ann, &old)?;
    put(store, ann, &new)?;
    put(store, ann, &[map_row(3, "z", 9)])?;
    write(store, ann, |tx| tx.carry_maps(PHONE, BOOK, 1, 2))?;
    let luids = ["a", "b", "c", "d", "e", "f", "x", "z"];
    let wanted = vec![
        Some(map_row(2, "a", 1)),
        Some(new[0].clone()),
        None,
        None,
        Some(MapRow { epoch: 2, ..held }),
        Some(MapRow { epoch: 2, ..gone }),
        Some(new[1].clone()),
        None,
    ];
    same("the new epoch", by_luid(store, ann, 2, &luids)?, wanted.clone())?;
    let found = by_luid(store, ann, 1, &["a", "b", "c", "d", "e", "f"])?;
    same("the old epoch stays", found, old.map(Some).to_vec())?;
    write(store, ann, |tx| {
        tx.carry_maps(PHONE, BOOK, 1, 2)?;
        tx.carry_maps(PHONE, BOOK, 7, 2)?;
        tx.carry_maps(TABLET, BOOK, 1, 2)
    })?;
    same("again changes nothing", by_luid(store, ann, 2, &luids)?, wanted)
}

/// What a device holds is what was agreed with it, whatever becomes of the item, and however the store keeps what is equal.
pub(super) fn maps_keep_views(store: &dyn Store) -> Outcome {
    let ann = account(store, "ann")?;
    write(store, ann, |tx| {
        add(tx, OTHER_BOOK, &["other"])?;
        add(tx, BOOK, &["one", "two", "three", "four"])
    })?;
    let entry = |epoch, luid, guid, view: &str| MapRow { view_fp: print(view), ..map_row(epoch, luid, guid) };
    let gone = MapRow { state: MapState::Gone, ..entry(1, "z", 1, "one") };
    let rows = [
        entry(1, "a", 1, "one"),
        entry(1, "b", 2, "two"),
        entry(1, "c", 3, "cut"),
        MapRow { state: MapState::Unconfirmed, ..entry(1, "d", 4, "four") },
        gone,
        entry(2, "a", 1, "one"),
        MapRow { agreed_revision: Revision(0), ..entry(2, "b", 2, "two") },
    ];
    let elsewhere = [entry(1, "x", 1, "one")];
    let others = [entry(1, "y", 1, "other")];
    put(store, ann, &rows)?;
    write(store, ann, |tx| {
        tx.put_maps(TABLET, BOOK, &elsewhere)?;
        tx.put_maps(PHONE, OTHER_BOOK, &others)
    })?;
    let all = |what: &str| {
        let page = |device, book| read(store, ann, move |tx| tx.all_maps(device, book, (i64::MIN, ""), 99));
        let by_key = |mut rows: Vec<MapRow>| {
            rows.sort_by_key(|row| (row.epoch, row.luid.clone()));
            rows
        };
        same(what, by_key(page(PHONE, BOOK)?), by_key(rows.to_vec()))?;
        same(what, page(TABLET, BOOK)?, elsewhere.to_vec())?;
        same(what, page(PHONE, OTHER_BOOK)?, others.to_vec())
    };
    all("as put")?;
    write(store, ann, |tx| replace(tx, BOOK, Guid(1), "another"))?;
    write(store, ann, |tx| delete(tx, BOOK, Guid(2)))?;
    write(store, ann, |tx| replace(tx, BOOK, Guid(3), "third"))?;
    write(store, ann, |tx| replace(tx, BOOK, Guid(4), "fourth"))?;
    write(store, ann, |tx| replace(tx, BOOK, Guid(4), "four"))?;
    all("after changes")?;
    same("by luid", by_luid(store, ann, 1, &["a", "z"])?, vec![Some(rows[0].clone()), Some(rows[4].clone())])?;
    same("by guid", by_guid(store, ann, 1, &[1, 2])?, vec![Some(rows[0].clone()), Some(rows[1].clone())])?;
    let page = read(store, ann, |tx| tx.map_page(PHONE, BOOK, 1, Guid(0), 9))?;
    same("a page", page, rows[..4].to_vec())?;
    same("unconfirmed", read(store, ann, |tx| tx.unconfirmed_maps(PHONE, BOOK, 1, 9))?, vec![rows[3].clone()])?;
    let differing = read(store, ann, |tx| tx.differences((PHONE, BOOK), 1, Revision(0), Revision(99), 9))?;
    let entries = differing.into_iter().map(|(_, entry)| entry).collect::<Vec<_>>();
    same("of what differs", entries, [0, 1, 2, 3].map(|index| Some(rows[index].clone())).to_vec())?;
    // What is agreed on is told anew.
    let anew = MapRow { agreed_revision: Revision(5), ..entry(1, "a", 1, "another") };
    put(store, ann, std::slice::from_ref(&anew))?;
    same("agreed anew", by_luid(store, ann, 1, &["a"])?, vec![Some(anew)])
}

pub(super) fn maps_dropped(store: &dyn Store) -> Outcome {
    let ann = account(store, "ann")?;
    let rows = [1, 2, 3].map(|epoch| map_row(epoch, "a", 1));
    put(store, ann, &rows)?;
    write(store, ann, |tx| {
        tx.put_maps(TABLET, BOOK, &rows)?;
        tx.put_maps(PHONE, OTHER_BOOK, &rows)
    })?;
    write(store, ann, |tx| tx.drop_maps(PHONE, BOOK, 2))?;
    let left = |device, book| {
        read(store, ann, move |tx| {
            let mut left = Vec::new();
            for epoch in 1..=3 {
                let by_luid = tx.maps_by_luid(device, book, epoch, &["a"])?;
                left.push(by_luid == tx.maps_by_guid(device, book, epoch, &[Guid(1)])? && by_luid != [None]);
            }
            Ok(left)
        })
    };
    same("epochs left", left(PHONE, BOOK)?, vec![false, true, false])?;
    same("of another device", left(TABLET, BOOK)?, vec![true; 3])?;
    same("of another book", left(PHONE, OTHER_BOOK)?, vec![true; 3])?;
    write(store, ann, |tx| tx.drop_maps(PHONE, BOOK, 9))?;
    same("none left", left(PHONE, BOOK)?, vec![false; 3])?;
    put(store, ann, &[map_row(1, "a", 2)])?;
    same("what was dropped is forgotten", by_guid(store, ann, 1, &[2])?, vec![Some(map_row(1, "a", 2))])
}

pub(super) fn map_pages(store: &dyn Store) -> Outcome {
    let ann = account(store, "ann")?;
    let states = MapState::ALL;
    let rows = (1..=12).map(|guid| MapRow {
        state: states[guid as usize % states.len()],
        ..map_row(1, &format!("l{}", 99 - guid), guid)
    });
    let rows = rows.collect::<Vec<_>>();
    put(store, ann, &rows)?;
    put(store, ann, &[map_row(2, "other", 1)])?;
    let page = |after, limit| read(store, ann, move |tx| tx.map_page(PHONE, BOOK, 1, Guid(after), limit));
    let wanted = rows.into_iter().filter(|row| row.state != MapState::Gone).collect::<Vec<_>>();
    same("all", page(0, usize::MAX)?, wanted.clone())?;
    same("none", page(0, 0)?, vec![])?;
    same("after the last", page(12, 9)?, vec![])?;
    let mut found = Vec::new();
    loop {
        let next = page(found.last().map_or(i64::MIN, |row: &MapRow| row.guid.0), 4)?;
        if next.is_empty() {
            break;
        }
        found.extend(next);
    }
    same("pages of four", found, wanted)
}

pub(super) fn maps_unconfirmed(store: &dyn Store) -> Outcome {
    let ann = account(store, "ann")?;
    let waiting = |epoch, luid, guid| MapRow { state: MapState::Unconfirmed, ..map_row(epoch, luid, guid) };
    let rows = [waiting(1, "e", 1), map_row(1, "d", 2), waiting(1, "c", 3), waiting(1, "b", 4), waiting(1, "a", 5)];
    put(store, ann, &rows)?;
    write(store, ann, |tx| {
        tx.put_maps(TABLET, BOOK, &[waiting(1, "x", 8)])?;
        tx.put_maps(PHONE, OTHER_BOOK, &[waiting(1, "y", 9)])
    })?;
    let unconfirmed = |epoch, limit| {
        read(store, ann, move |tx| tx.unconfirmed_maps(PHONE, BOOK, epoch, limit))
            .map(|rows| rows.into_iter().map(|row| (row.guid.0, row.luid)).collect::<Vec<_>>())
    };
    let others = MapState::ALL.into_iter().filter(|state| *state != MapState::Unconfirmed);
    let others = (11..).zip(others).map(|(guid, state)| MapRow { state, ..map_row(1, &guid.to_string(), guid) });
    put(store, ann, &others.collect::<Vec<_>>())?;
    let named = |rows: &[(i64, &str)]| rows.iter().map(|(guid, luid)| (*guid, (*luid).to_owned())).collect::<Vec<_>>();
    same("all, ascending", unconfirmed(1, usize::MAX)?, named(&[(1, "e"), (3, "c"), (4, "b"), (5, "a")]))?;
    same("a page", unconfirmed(1, 2)?, named(&[(1, "e"), (3, "c")]))?;
    same("none", unconfirmed(1, 0)?, vec![])?;
    same("in another epoch", unconfirmed(2, 9)?, vec![])?;
    let whole = read(store, ann, |tx| tx.unconfirmed_maps(PHONE, BOOK, 1, 1))?;
    same("as it was put", whole, vec![rows[0].clone()])?;
    // Confirmed, retired, used again; and one that has to wait after all.
    let gone = MapRow { state: MapState::Gone, ..rows[2].clone() };
    put(store, ann, &[map_row(1, "e", 1), gone, waiting(1, "c", 6), waiting(1, "d", 2)])?;
    same("after changes", unconfirmed(1, 9)?, named(&[(2, "d"), (4, "b"), (5, "a"), (6, "c")]))?;
    write(store, ann, |tx| tx.carry_maps(PHONE, BOOK, 1, 2))?;
    same("carried to another epoch", unconfirmed(2, 1)?, named(&[(2, "d")]))?;
    write(store, ann, |tx| tx.drop_maps(PHONE, BOOK, 2))?;
    same("dropped", unconfirmed(1, 9)?, vec![])?;
    put(store, ann, &[map_row(1, "b", 4)])?;
    same("put as confirmed after that", unconfirmed(1, 9)?, vec![])?;
    same("kept", unconfirmed(2, 9)?.len(), 4)
}

pub(super) fn maps_all(store: &dyn Store) -> Outcome {
    let ann = account(store, "ann")?;
    let luids = ["7", "07", "10", "a", "A", "ä", "/a/b", "999999999999999999", "9223372036854775808"];
    let mut rows = Vec::new();
    for epoch in [1, 2, 9] {
        for (guid, luid) in (1..).zip(luids) {
            let state = MapState::ALL[guid as usize % MapState::ALL.len()];
            rows.push(MapRow { state, ..map_row(epoch, luid, guid) });
        }
    }
    put(store, ann, &rows)?;
    write(store, ann, |tx| {
        tx.put_maps(TABLET, BOOK, &[map_row(1, "x", 8)])?;
        tx.put_maps(PHONE, OTHER_BOOK, &[map_row(1, "y", 9)])
    })?;
    for limit in [1, 4, usize::MAX] {
        let mut found: Vec<MapRow> = Vec::new();
        loop {
            let last = found.last().cloned();
            let after = last.as_ref().map_or((i64::MIN, ""), |row| (row.epoch, &row.luid));
            let next = read(store, ann, |tx| tx.all_maps(PHONE, BOOK, after, limit))?;
            if next.is_empty() {
                break;
            }
            found.extend(next);
            holds("each once", found.len() <= rows.len())?;
        }
        holds("by epoch", found.is_sorted_by_key(|row| row.epoch))?;
        let key = |row: &MapRow| (row.epoch, row.luid.clone());
        found.sort_by_key(key);
        rows.sort_by_key(key);
        same("all", found, rows.clone())?;
    }
    Ok(())
}
