//! The laws L1 to L8 over any cards, any capabilities, and whatever a user can do on the device.
//!
//! A device is played: it holds the view of a card, its user edits that as an address book can be edited, and what the
//! device then shows is again what its memory can hold. Each law is asked of every case. A case comes from a fixed seed,
//! so that it comes again, and some from a fresh one; how many is said by [`hold`].

mod cases;
mod lines;

use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

use self::cases::{Case, case, edited, lens};
use self::lines::{Line, by_property, extends, is_list, is_name, lines, said, seen, show};
use super::view::{Shown, Sight};
use super::{Lens, Put, put, view};
use crate::contact::card::{Card, Property, PropertyBuf, Shape, Value, canonical_name, is_single, shape};
use crate::contact::identity::{Canon, is_rendering};
use crate::contact::merge::{Prefer, merge3, same_meaning};
use crate::contact::testing::{build, hold};

/// L1: what comes back as it was sent, re-ordered and in whatever version, changes nothing, byte for byte.
fn l1_echo(case: &Case) -> Result<(), TestCaseError> {
    let held = case.held();
    for shown in [held.clone(), edited(&held, case.writes, &case.edits[..0])] {
        let put = put(&case.base, &shown, &case.then, &case.now).unwrap();
        prop_assert_eq!(put.whole.escape_ascii().to_string(), case.base.escape_ascii().to_string(), "L1");
        if case.then == case.now {
            prop_assert_eq!(put.told, None, "L1: all that can be seen was");
        }
    }
    // Seen twice is seen once.
    prop_assert!(same_meaning(
        &view(&view(&case.base, &case.now).unwrap(), &case.now).unwrap(),
        &view(&case.base, &case.now).unwrap()
    ));
    Ok(())
}

/// L1 in the next sync: a device that shows again what it showed says nothing new, whatever it was held to have, and whatever
/// it can hold. What it has a cut of, and cannot be sent any more, does not take the place of the whole.
fn l1_again(case: &Case) -> Result<(), TestCaseError> {
    let shown = case.shown();
    let Put { whole, told } = put(&case.base, &shown, &case.then, &case.now).unwrap();
    let agreed = told.unwrap_or_else(|| whole.clone());
    let again = put(&agreed, &shown, &case.now, &case.now).unwrap();
    let became = || format!("L1: {} became {}", agreed.escape_ascii(), again.whole.escape_ascii());
    prop_assert!(same_meaning(&again.whole, &agreed), "{}", became());
    let merged = merge3(&agreed, &whole, &again.whole, Prefer::Incoming).unwrap();
    prop_assert!(same_meaning(&merged.content, &whole), "L1: {} is left of it", merged.content.escape_ascii());
    Ok(())
}

/// L2 to L4 and L8, of what a user can do.
fn l2_to_l4_edits(case: &Case) -> Result<(), TestCaseError> {
    let (held, shown) = (case.held(), case.shown());
    let Put { whole, told } = put(&case.base, &shown, &case.then, &case.now).unwrap();
    let (base, held) = (Card::parse(&case.base).unwrap(), Card::parse(&held).unwrap());
    let (shown, result) = (Card::parse(&shown).unwrap(), Card::parse(&whole).unwrap());
    let (shown_lines, now_seen) = (lines(&shown), seen(&result, &case.now));
    let labels = case.then == case.now || case.then.holds_labels() && case.now.holds_labels();

    // L2: what the device shows is to be seen of the result, but for its re-encoding and for cuts: those that were made for it
    // come back, and those are made that it needs now. A lens may cut more of what it shows with the types that this has here
    // than without them; the whole is here.
    let visible = said(&now_seen);
    let result_lines = by_property(&result);
    let is_of = |line: &Line, what: &dyn Fn(&[u8]) -> bool| {
        result_lines.get(&line.at).is_some_and(|of| of.iter().any(|is| what(is)))
    };
    let cut_now = |line: &[u8]| {
        let whole = |is: &[u8]| extends(is, line, labels);
        now_seen.iter().any(|less| extends(line, &less.is, labels) && is_of(less, &whole))
    };
    // What came back untouched is what it was, byte for byte (L1), even where the device can see nothing of that any more.
    let untouched = lines(&held);
    let base_seen = seen(&base, &case.then);
    let raws: BTreeSet<&[u8]> = result.properties().iter().map(Property::raw).collect();
    let stays = |line: &[u8]| {
        case.then != case.now
            && untouched.iter().any(|held| held.is == line)
            && base_seen
                .iter()
                .any(|sent| extends(&sent.is, line, labels) && raws.contains(base.properties()[sent.at].raw()))
    };
    // What a card has once, and has out of the device's sight with a label, keeps that: nobody took it off. The device, which
    // said it without, is told.
    let keeps_label = |line: &[u8]| {
        let hidden = |it: &Line| {
            let name = canonical_name(base.properties()[it.at].name());
            is_single(name) && !held.properties().iter().any(|it| canonical_name(it.name()) == name)
        };
        let base_said = lines(&base);
        base_said.iter().any(|it| hidden(it) && visible.contains(&*it.is) && Canon::unlabelled(&it.is) == line)
    };
    for line in said(&shown_lines) {
        let lands = visible.contains(line)
            || keeps_label(line)
            || visible.iter().any(|more| extends(more, line, labels))
            || cut_now(line)
            || stays(line);
        prop_assert!(lands, "L2: {} does not land", show(line));
    }
    // And nothing else but what was hidden, as it was.
    let sights = [Sight::of(&case.then, &base), Sight::of(&case.now, &base)];
    let sent = view(&case.base, &case.then).unwrap();
    let sent = Card::parse(&sent).unwrap();
    let kept = Sight::of(&case.now, &sent);
    let kept: BTreeSet<usize> =
        (sights[0].places().iter().enumerate()).filter(|(at, _)| kept.is_shown(*at)).map(|(_, place)| *place).collect();
    let joined = |at: usize| sights[0].shown[at] == Shown::Joined;
    let hidden = |at: usize| sights.iter().any(|sight| !sight.is_shown(at)) || !kept.contains(&at) && !joined(at);
    let base_lines = lines(&base);
    let held_now: Vec<Line> = lines(&held);
    let both = [seen(&base, &case.then), seen(&base, &case.now)];
    let seen_by_both = |line: &Line| {
        (!hidden(line.at) || is_list(&base, line.at))
            && both.iter().all(|seen| {
                // Lists of one kind are shown as one.
                seen.iter().any(|seen| if is_list(&base, line.at) { seen.is == line.is } else { seen.at == line.at })
                    && (!is_list(&base, line.at) || held_now.iter().any(|held| held.is == line.is))
            })
    };
    let open: BTreeSet<&[u8]> = base_lines.iter().filter(|line| seen_by_both(line)).map(|line| &*line.is).collect();
    let unseen: BTreeSet<&[u8]> = base_lines.iter().map(|line| &*line.is).filter(|is| !open.contains(is)).collect();
    let shown_said = said(&shown_lines);
    // Two may say the same, of which one is hidden.
    let hides = |is: &[u8]| base_lines.iter().any(|it| it.is == is && hidden(it.at));
    // What the device shows, or a cut of that (≈ of DESIGN: up to the declared cut): the device has as much of it, or more.
    let has = |line: &Line, of: &BTreeMap<usize, Vec<Vec<u8>>>| {
        let cut_of = |more: &[u8]| {
            let whole = of.get(&line.at).is_some_and(|of| of.iter().any(|is| extends(is, more, labels)));
            whole && extends(more, &line.is, labels)
        };
        shown_said.contains(&*line.is)
            || shown_said.iter().any(|less| extends(&line.is, less, labels))
            || shown_said.iter().any(|more| cut_of(more))
    };
    for line in &now_seen {
        let explained = has(line, &result_lines) || is_of(line, &|is| unseen.contains(is) || hides(is));
        prop_assert!(explained, "L2: {} comes from nowhere", show(&line.is));
    }
    // What the device can be said to know is what it shows.
    let knows = told.unwrap_or_else(|| whole.clone());
    let knows = Card::parse(&knows).unwrap();
    let knows_lines = by_property(&knows);
    for line in seen(&knows, &case.now) {
        prop_assert!(has(&line, &knows_lines), "L2: {} was not shown, but is held to be known", show(&line.is));
    }

    // L3: what is hidden stays, with group and parameters.
    let result_said: BTreeSet<Vec<u8>> = lines(&result).into_iter().map(|line| line.is).collect();
    let said_again = |property: &Property<'_>| {
        let name = canonical_name(property.name());
        is_single(name) && shown.properties().iter().any(|it| canonical_name(it.name()) == name && !it.is_empty())
    };
    for line in base_lines.iter().filter(|line| unseen.contains(&*line.is)) {
        let property = &base.properties()[line.at];
        if said_again(property) {
            continue;
        }
        prop_assert!(result_said.contains(&line.is), "L3: {} is gone", show(&line.is));
        if hidden(line.at) && !is_list(&base, line.at) {
            prop_assert!(raws.contains(property.raw()), "L3: {} is written anew", property.raw().escape_ascii());
        }
    }
    for (at, property) in base.properties().iter().enumerate() {
        if hidden(at) && matches!(property.name(), "UID" | "REV" | "PRODID") {
            prop_assert!(raws.contains(property.raw()), "L3: {}", property.raw().escape_ascii());
        }
    }

    // L4: what was seen and is not shown any more is gone.
    let held_said = lines(&held);
    let source =
        |line: &Line| base_lines.iter().filter(|it| it.at == line.at).map(|it| it.is.clone()).collect::<Vec<_>>();
    let sent = seen(&base, &case.then);
    for line in sent.iter().filter(|line| !hidden(line.at) && !is_list(&base, line.at)) {
        let still = shown_said.contains(&*line.is);
        let was_held = held_said.iter().any(|held| held.is == line.is);
        let edited =
            shown_said.iter().any(|shown| extends(shown, &line.is, labels) || extends(&line.is, shown, labels));
        if !was_held || still || edited || case.then != case.now {
            continue;
        }
        // Unless another one, which is hidden, says the same (L3).
        let gone = |is: &[u8]| !shown_said.contains(is) && !unseen.contains(is) && !hides(is);
        for is in source(line).iter().filter(|is| gone(is)) {
            prop_assert!(!result_said.contains(is), "L4: {} is still there", show(is));
        }
    }

    // L8: a derived FN follows N.
    let name = |card: &Card<'_>| card.all("N").find(|n| !n.is_empty()).map(Property::components).unwrap_or_default();
    let (old, new) = (name(&base), name(&result));
    let full = |card: &Card<'_>| card.text("FN").map(std::borrow::Cow::into_owned).unwrap_or_default();
    // A device that keeps both may say another one, which lands.
    let said = full(&shown) != full(&held) && full(&shown) == full(&result);
    let said = said && !case.composes;
    if old != new && is_rendering(&full(&base), &old) && !new.is_empty() && !said {
        prop_assert!(is_rendering(&full(&result), &new), "L8: {} does not follow {:?}", full(&result), new);
    }
    Ok(())
}

/// L5: more than is declared is kept, and widens the lens.
fn l5_more(case: &Case) -> Result<(), TestCaseError> {
    let shown = edited(&case.held(), case.writes, &case.edits);
    let Put { whole, .. } = put(&case.base, &shown, &case.then, &case.now).unwrap();
    let (shown_card, result) = (Card::parse(&shown).unwrap(), Card::parse(&whole).unwrap());
    let kept: BTreeSet<Vec<u8>> = lines(&result).into_iter().map(|line| line.is).collect();
    let visible = seen(&result, &case.now);
    let visible = said(&visible);
    let labels = case.then.holds_labels() && case.now.holds_labels();
    let all: Vec<&[u8]> = kept.iter().map(|it| &**it).chain(visible.iter().copied()).collect();
    let held = case.held();
    let held = Card::parse(&held).unwrap();
    for line in lines(&shown_card) {
        let name = canonical_name(shown_card.properties()[line.at].name());
        // What a card has once, and has out of the device's sight with a label, keeps that.
        let hidden = is_single(name) && !held.properties().iter().any(|it| canonical_name(it.name()) == name);
        let lands = all.contains(&&*line.is) || all.iter().any(|more| extends(more, &line.is, labels && !hidden));
        prop_assert!(lands, "L5: {} is not kept", show(&line.is));
    }
    // And nothing is doubled.
    let count = |card: &[u8]| -> BTreeMap<Vec<u8>, usize> {
        let card = Card::parse(card).unwrap();
        let mut counts = BTreeMap::new();
        let canon = Canon::of(&card);
        canon.lines().for_each(|(.., full)| *counts.entry(full.to_vec()).or_default() += 1);
        counts
    };
    let (before, from, after) = (count(&case.base), count(&shown), count(&whole));
    for (line, times) in &after {
        let most = before.get(line).copied().unwrap_or_default().max(from.get(line).copied().unwrap_or_default());
        prop_assert!(*times <= most.max(1), "L5: {} is there {} times", show(line), times);
    }
    let wide = case.now.widened_by(&shown);
    prop_assert_eq!(&wide.widened_by(&shown), &wide, "L5: seen once is seen");
    let kept = view(&shown, &wide).unwrap();
    let (kept, shown) = (Card::parse(&kept).unwrap(), Card::parse(&shown).unwrap());
    let filtered = |property: &Property<'_>| wide.fields.is_some_and(|fields| !fields.shows(property.name()));
    // How long a value may be, and how many there may be, is what the device takes in a sync: that it has more of its own
    // does not make that more, or a cut at the declared length would no longer be an echo (L6, field note 25).
    let limited = |property: &Property<'_>| {
        let name = canonical_name(property.name()).to_ascii_uppercase();
        let room = wide.rooms.iter().find(|room| room.takes(&name, property));
        room.is_some_and(|room| room.occur.is_some() || room.size.is_some())
    };
    let widens = |line: &Line| !filtered(&shown.properties()[line.at]) && !limited(&shown.properties()[line.at]);
    let shown: Vec<Line> = lines(&shown).into_iter().filter(widens).collect();
    let kept = lines(&kept);
    for line in said(&shown) {
        let labels =
            wide.holds_labels() || line.split(|byte| *byte == Canon::PART).nth(1).is_some_and(<[u8]>::is_empty);
        prop_assert!(!labels || said(&kept).contains(line), "L5: {} is not to be seen", show(line));
    }
    // Another declaration takes the place of the old one, and what was observed stays.
    let anew = case.then.clone().with_observed(&wide);
    prop_assert_eq!(&anew.clone().with_observed(&anew), &anew, "L5: observed once is observed");
    let bare = |lens: &Lens| Lens { observed: Vec::new(), ..lens.clone() };
    for room in &case.then.rooms {
        let stays = anew.rooms.iter().any(|it| it.name == room.name && (it.occur, it.size) == (room.occur, room.size));
        prop_assert!(stays, "L5: {room:?} is not as it was declared");
    }
    if case.then == bare(&case.now) {
        prop_assert_eq!(&anew, &wide, "L5: the same declaration is the same lens");
    }
    Ok(())
}

/// L6: what was cut comes back as it was; a character less is an edit.
fn l6_cuts(case: &Case) -> Result<(), TestCaseError> {
    let lens = &case.now;
    let sent = view(&case.base, lens).unwrap();
    let (base, card) = (Card::parse(&case.base).unwrap(), Card::parse(&sent).unwrap());
    let places = Sight::of(lens, &base).places();
    for (at, property) in card.properties().iter().enumerate() {
        let (name, source) = (canonical_name(property.name()), &base.properties()[places[at]]);
        let text = property.text().into_owned();
        let cut = shape(name) == Shape::Text && !is_name(property) && text.trim() != source.text().trim();
        if !cut || property.is_binary() || text.chars().count() < 3 {
            continue;
        }
        let less: String = text.chars().take(text.chars().count() - 1).collect();
        if less.trim().is_empty() || less.trim() == text.trim() {
            continue;
        }
        let mut all: Vec<PropertyBuf> = card.properties().iter().map(PropertyBuf::from).collect();
        all[at].set_value(Value::Text(less.clone()));
        all.retain(|it| it.name() != "VERSION");
        let put = put(&case.base, &build(case.writes, &all), lens, lens).unwrap();
        let result = Card::parse(&put.whole).unwrap();
        let says = |text: &str| {
            result.properties().iter().any(|it| canonical_name(it.name()) == name && it.text().trim() == text.trim())
        };
        prop_assert!(says(&less), "L6: {less:?} is an edit");
        // Unless another instance says the same.
        let twice = base.properties().iter().filter(|it| canonical_name(it.name()) == name).count() > 1;
        prop_assert!(twice || !says(&source.text()), "L6: {less:?} is an edit of {:?}", source.text());
    }
    Ok(())
}

/// L7: what others did meanwhile stays.
fn l7_base(case: &Case) -> Result<(), TestCaseError> {
    let base = Card::parse(&case.base).unwrap();
    let current = edited(&case.base, base.version(), &case.other);
    let shown = case.shown();
    let Put { whole, .. } = put(&case.base, &shown, &case.then, &case.now).unwrap();
    let merged = merge3(&case.base, &current, &whole, Prefer::Incoming).unwrap();
    let (current, merged) = (Card::parse(&current).unwrap(), Card::parse(&merged.content).unwrap());
    let whole = Card::parse(&whole).unwrap();
    let lines_of = |card: &Card<'_>| -> BTreeSet<Vec<u8>> {
        let repeats = |line: &Line| !is_single(canonical_name(card.properties()[line.at].name()));
        lines(card).into_iter().filter(repeats).map(|line| line.is).collect()
    };
    let (base, current, whole, merged) = (lines_of(&base), lines_of(&current), lines_of(&whole), lines_of(&merged));
    let is_address = |line: &&Vec<u8>| !line.starts_with(b"ADR");
    for line in current.difference(&base).filter(is_address) {
        prop_assert!(merged.contains(line), "L7: {} came here", show(line));
    }
    for line in whole.difference(&base).filter(is_address) {
        prop_assert!(merged.contains(line), "L7: {} came from the device", show(line));
    }
    for line in base.intersection(&current).filter(|line| whole.contains(*line)) {
        prop_assert!(merged.contains(line), "L7: {} was never touched", show(line));
    }
    Ok(())
}

/// A lens is stored as few bytes, and comes back.
fn stored(lens: &Lens) -> Result<(), TestCaseError> {
    let bytes = lens.encode();
    let back = Lens::decode(&bytes);
    prop_assert_eq!(back.as_ref(), Some(lens));
    prop_assert_eq!(back.unwrap().number(), lens.number());
    prop_assert_eq!(lens.number().is_none(), lens.is_whole());
    Ok(())
}

#[test]
fn l1_echoes_change_nothing() {
    hold("lens-l1", case(), l1_echo);
}

#[test]
fn l1_what_is_shown_again_is_no_news() {
    hold("lens-l1-again", case(), l1_again);
}

#[test]
fn l2_l3_l4_l8_edits_land_and_the_hidden_survives() {
    hold("lens-l2", case(), l2_to_l4_edits);
}

#[test]
fn l5_more_than_declared_is_kept() {
    hold("lens-l5", case(), l5_more);
}

#[test]
fn l6_a_cut_is_an_echo_and_a_shorter_one_an_edit() {
    hold("lens-l6", case(), l6_cuts);
}

#[test]
fn l7_what_others_did_stays() {
    hold("lens-l7", case(), l7_base);
}

#[test]
fn lenses_are_stored() {
    hold("lens-stored", lens(), stored);
}
