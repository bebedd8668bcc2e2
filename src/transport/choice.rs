//! The best way that is at hand, and the next one when it fails (mission I4).

use super::exchange::{Answer, Effect, Medium, Tell, Transport, TransportError};
use crate::session::Outgoing;
use std::time::Instant;

/// Several ways to one server: a cable if it is plugged in, else Bluetooth, else a network.
///
/// A session stays on the way it is on; when that fails it goes on over the next one with the identical bytes, as far as
/// these may be sent again at all.
pub struct Choice {
    /// The best first.
    ways: Vec<Box<dyn Transport>>,
    /// The one that answered last.
    current: Option<usize>,
}

impl std::fmt::Debug for Choice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let media: Vec<Medium> = self.ways.iter().map(|way| way.medium()).collect();
        f.debug_struct("Choice").field("ways", &media).field("current", &self.current).finish()
    }
}

impl Choice {
    /// Of these ways, which are tried in the order of their [`Medium`]; of one medium, in the order given.
    #[must_use]
    pub fn new(mut ways: Vec<Box<dyn Transport>>) -> Self {
        ways.sort_by_key(|way| way.medium());
        Self { ways, current: None }
    }

    /// What the session runs over, once something was answered.
    #[must_use]
    pub fn in_use(&self) -> Option<Medium> {
        self.current.map(|at| self.ways[at].medium())
    }
}

impl Transport for Choice {
    fn medium(&self) -> Medium {
        let first = self.ways.first().map_or(Medium::Stored, |way| way.medium());
        self.in_use().unwrap_or(first)
    }

    fn is_available(&mut self) -> bool {
        self.ways.iter_mut().any(|way| way.is_available())
    }

    fn exchange(
        &mut self,
        request: &Outgoing,
        until: Option<Instant>,
        tell: Tell<'_>,
    ) -> Result<Answer, TransportError> {
        let available: Vec<bool> = self.ways.iter_mut().map(|way| way.is_available()).collect();
        let mut failed = None;
        for at in order(&available, self.current) {
            match self.ways[at].exchange(request, until, tell) {
                Ok(answer) => {
                    if let Some(before) = self.current.replace(at).filter(|before| *before != at) {
                        self.ways[before].close();
                    }
                    return Ok(answer);
                }
                Err(error) if goes_on(error.effect(), request.opens) => {
                    tracing::info!(medium = ?self.ways[at].medium(), "this way failed; the next one is tried");
                    tracing::debug!(%error, "this way failed");
                    failed = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
        Err(failed.unwrap_or_else(|| TransportError::Unreachable {
            to: "the server".to_owned(),
            reason: "no way to it is at hand".to_owned(),
        }))
    }

    fn close(&mut self) {
        self.ways.iter_mut().for_each(|way| way.close());
        self.current = None;
    }
}

/// In which order ways are tried, the best first: the one the session is on, then all others that are at hand. Positions are
/// those of the sorted ways.
fn order(available: &[bool], current: Option<usize>) -> Vec<usize> {
    let at_hand = (0..available.len()).filter(|at| available[*at]);
    let current = current.filter(|at| available[*at]);
    current.into_iter().chain(at_hand.filter(|at| Some(*at) != current)).collect()
}

/// Whether the next way is tried after a failure.
const fn goes_on(effect: Effect, opens: bool) -> bool {
    match (effect, opens) {
        (Effect::None, _) | (Effect::Unknown, false) => true,
        // It may have begun a session there.
        (Effect::Unknown, true) | (Effect::Final, _) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::collections::VecDeque;
    use std::rc::Rc;
    use std::time::Duration;

    #[test]
    fn the_best_at_hand_comes_first() {
        for (available, current, expected) in [
            (&[true, true, true][..], None, &[0, 1, 2][..]),
            (&[false, true, true], None, &[1, 2]),
            (&[false, false, true], None, &[2]),
            (&[false, false, false], None, &[]),
            (&[true, true, true], Some(1), &[1, 0, 2]),
            (&[true, false, true], Some(1), &[0, 2]),
            (&[], None, &[]),
        ] {
            assert_eq!(order(available, current), expected, "{available:?} {current:?}");
        }
    }

    #[test]
    fn what_may_go_another_way() {
        for (effect, first, later) in
            [(Effect::None, true, true), (Effect::Unknown, false, true), (Effect::Final, false, false)]
        {
            assert_eq!((goes_on(effect, true), goes_on(effect, false)), (first, later), "{effect:?}");
        }
    }

    /// What each way does, in order: `None` answers.
    struct Way {
        medium: Medium,
        available: bool,
        does: VecDeque<Option<TransportError>>,
        log: Rc<RefCell<Vec<String>>>,
    }

    impl Transport for Way {
        fn medium(&self) -> Medium {
            self.medium
        }

        fn is_available(&mut self) -> bool {
            self.available
        }

        fn exchange(&mut self, _: &Outgoing, _: Option<Instant>, _: Tell<'_>) -> Result<Answer, TransportError> {
            self.log.borrow_mut().push(format!("{:?}", self.medium));
            match self.does.pop_front().flatten() {
                Some(error) => Err(error),
                None => Ok(Answer {
                    uri: format!("{:?}", self.medium),
                    content_type: String::new(),
                    body: Vec::new(),
                    mac: None,
                }),
            }
        }

        fn close(&mut self) {
            self.log.borrow_mut().push(format!("close {:?}", self.medium));
        }
    }

    fn request(opens: bool) -> Outgoing {
        let uri = "http://h/".to_owned();
        Outgoing {
            uri,
            content_type: "application/vnd.syncml+xml",
            body: vec![1],
            mac: None,
            wait: Duration::ZERO,
            opens,
        }
    }

    fn unreachable() -> Option<TransportError> {
        Some(TransportError::Unreachable { to: "u".to_owned(), reason: "r".to_owned() })
    }

    fn broken() -> Option<TransportError> {
        Some(TransportError::Broken { to: "u".to_owned(), reason: "r".to_owned() })
    }

    type Script = (Medium, bool, Vec<Option<TransportError>>);

    fn choice(ways: Vec<Script>) -> (Choice, Rc<RefCell<Vec<String>>>) {
        let log = Rc::new(RefCell::new(Vec::new()));
        let ways = ways.into_iter().map(|(medium, available, does)| {
            Box::new(Way { medium, available, does: does.into(), log: Rc::clone(&log) }) as Box<dyn Transport>
        });
        (Choice::new(ways.collect()), log)
    }

    #[test]
    fn falls_back_and_stays() {
        let (mut choice, log) = choice(vec![
            (Medium::Wireless, true, vec![]),
            (Medium::Usb, true, vec![unreachable(), None]),
            (Medium::Bluetooth, true, vec![None, broken()]),
        ]);
        for (opens, expected, medium) in [
            (true, vec!["Usb", "Bluetooth"], Medium::Bluetooth),
            // Bluetooth breaks: the session goes on over the cable, and stays there.
            (false, vec!["Bluetooth", "Usb", "close Bluetooth"], Medium::Usb),
            (false, vec!["Usb"], Medium::Usb),
        ] {
            let answer = choice.exchange(&request(opens), None, &mut |_| ()).unwrap();
            assert_eq!(answer.uri, format!("{medium:?}"));
            assert_eq!(log.take(), expected);
            assert_eq!(choice.in_use(), Some(medium));
        }
        choice.close();
        assert_eq!(log.take(), ["close Usb", "close Bluetooth", "close Wireless"]);
    }

    #[test]
    fn a_first_message_goes_one_way_only() {
        let (mut choice, log) = choice(vec![(Medium::Usb, true, vec![broken()]), (Medium::Wireless, true, vec![])]);
        assert!(matches!(choice.exchange(&request(true), None, &mut |_| ()), Err(TransportError::Broken { .. })));
        assert_eq!(log.take(), ["Usb"]);
        let (mut choice, log) = self::choice(vec![(Medium::Usb, false, vec![]), (Medium::Wireless, true, vec![])]);
        assert!(choice.is_available());
        choice.exchange(&request(true), None, &mut |_| ()).unwrap();
        assert_eq!((log.take(), choice.in_use()), (vec!["Wireless".to_owned()], Some(Medium::Wireless)));
        let (mut choice, _) = self::choice(vec![(Medium::Usb, false, vec![])]);
        assert!(!choice.is_available());
        let error = choice.exchange(&request(false), None, &mut |_| ()).unwrap_err();
        assert_eq!(error.to_string(), "cannot reach the server: no way to it is at hand");
    }
}
