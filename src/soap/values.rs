//! The values found, bounded, and those that still wait for a predicate.

use super::{Found, PathId};

/// Values of one path that are reported, besides one empty value (catalogue: "every non-empty value, at most 8").
const VALUES_MAX: u8 = 8;
/// Values that wait for a predicate at once. Further ones are not reported.
const PENDING_MAX: usize = 256;
/// Conditions open at once, over all elements.
const CONDITIONS_MAX: usize = 4096;

/// Marks in [`Values::counts`] that the empty value was reported.
const EMPTY: u8 = 0x80;

/// What is known of a predicate of one element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Open,
    Holds,
    Fails,
}

/// A predicate of one element, and the one it stands behind.
#[derive(Debug, Clone, Copy)]
struct Condition {
    verdict: Verdict,
    and: u32,
}

/// The number of a condition; 0 always holds.
pub(super) type When = u32;

/// Values and the conditions they wait for.
#[derive(Debug, Default)]
pub(super) struct Values {
    /// How many values of each path were reported; allocated with the first value.
    counts: Vec<u8>,
    conditions: Vec<Condition>,
    pending: Vec<(Found, When)>,
}

impl Values {
    /// A condition that holds if its predicate does and `and` does; `None` if there are too many.
    pub fn condition(&mut self, and: When) -> Option<When> {
        if self.conditions.is_empty() {
            self.conditions.push(Condition { verdict: Verdict::Holds, and: 0 });
        }
        if self.conditions.len() > CONDITIONS_MAX {
            return None;
        }
        self.conditions.push(Condition { verdict: Verdict::Open, and });
        Some((self.conditions.len() - 1) as When)
    }

    /// The mark to come back to with [`Self::forget`].
    pub fn mark(&self) -> u32 {
        self.conditions.len() as u32
    }

    /// Forgets conditions that nobody waits for any more.
    pub fn forget(&mut self, mark: u32) {
        self.conditions.truncate(mark as usize);
    }

    /// Whether a predicate is still undecided.
    pub fn is_open(&self, condition: When) -> bool {
        self.conditions.get(condition as usize).is_some_and(|one| one.verdict == Verdict::Open)
    }

    /// Decides a predicate.
    pub fn decide(&mut self, condition: When, holds: bool) {
        if let Some(one) = self.conditions.get_mut(condition as usize) {
            one.verdict = if holds { Verdict::Holds } else { Verdict::Fails };
        }
    }

    /// What is known of a condition and all it stands behind; with the nearest that is open.
    fn verdict(&self, mut when: When) -> (Verdict, When) {
        let mut open = 0;
        while when != 0 {
            let Some(one) = self.conditions.get(when as usize) else { return (Verdict::Fails, 0) };
            match one.verdict {
                Verdict::Fails => return (Verdict::Fails, 0),
                Verdict::Open if open == 0 => open = when,
                _ => {}
            }
            when = one.and;
        }
        (if open == 0 { Verdict::Holds } else { Verdict::Open }, open)
    }

    /// Whether a condition can hold no more.
    pub fn has_failed(&self, when: When) -> bool {
        self.verdict(when).0 == Verdict::Fails
    }

    /// Reports a value as soon as its condition holds.
    pub fn report(&mut self, path: PathId, value: &str, offset: u64, when: When, found: &mut Vec<Found>) {
        match self.verdict(when) {
            (Verdict::Holds, _) => self.push(path, value, offset, when != 0, found),
            (Verdict::Open, open) if self.pending.len() < PENDING_MAX => {
                self.pending.push((Found { path, value: value.to_owned(), offset }, open));
            }
            _ => {}
        }
    }

    /// Reports what waited for conditions that are decided now.
    pub fn settle(&mut self, found: &mut Vec<Found>) {
        if self.pending.is_empty() {
            return;
        }
        for (value, when) in std::mem::take(&mut self.pending) {
            match self.verdict(when) {
                (Verdict::Holds, _) => self.push(value.path, &value.value, value.offset, true, found),
                (Verdict::Open, open) => self.pending.push((value, open)),
                (Verdict::Fails, _) => {}
            }
        }
    }

    fn push(&mut self, path: PathId, value: &str, offset: u64, had_condition: bool, found: &mut Vec<Found>) {
        let at = usize::from(path);
        if self.counts.len() <= at {
            self.counts.resize(at + 1, 0);
        }
        let count = &mut self.counts[at];
        let is_full = if value.is_empty() { *count & EMPTY != 0 } else { *count & !EMPTY >= VALUES_MAX };
        // An element that two conditional ways lead to is still one value.
        let is_same = |one: &Found| one.path == path && one.offset == offset && one.value == value;
        if is_full || (had_condition && found.iter().any(is_same)) {
            return;
        }
        *count = if value.is_empty() { *count | EMPTY } else { *count + 1 };
        found.push(Found { path, value: value.to_owned(), offset });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_yields_eight_values_and_one_empty_one() {
        let (mut values, mut found) = (Values::default(), Vec::new());
        for offset in 0..20 {
            values.report(3, "a", offset, 0, &mut found);
            values.report(3, "", 100 + offset, 0, &mut found);
        }
        assert_eq!(found.iter().filter(|one| one.value.is_empty()).count(), 1);
        assert_eq!(found.iter().filter(|one| one.value == "a").count(), 8);
    }

    #[test]
    fn a_value_waits_for_all_conditions() {
        let (mut values, mut found) = (Values::default(), Vec::new());
        let outer = values.condition(0).expect("room");
        let inner = values.condition(outer).expect("room");
        values.report(0, "a", 0, inner, &mut found);
        values.report(1, "b", 1, outer, &mut found);
        values.decide(inner, true);
        values.settle(&mut found);
        assert!(found.is_empty());
        values.forget(inner);
        values.decide(outer, true);
        values.settle(&mut found);
        assert_eq!(found.len(), 2);
        let other = values.condition(0).expect("room");
        values.report(0, "c", 2, other, &mut found);
        values.decide(other, false);
        values.settle(&mut found);
        assert_eq!(found.len(), 2);
    }
}
