//! Health as a pure state machine: answers of checks in, states out.

use super::Health;

/// What one check of one machine has come to.
///
/// A machine nobody knows yet is up with its first good answer, but down only after `fall` bad ones: taken for up wrongly,
/// it costs new requests a second try; taken for down wrongly, it costs conversations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checked {
    fall: u32,
    rise: u32,
    health: Health,
    /// Answers in a row that speak against `health`.
    against: u32,
}

impl Checked {
    /// A check that begins from what was known before.
    pub fn new(fall: u32, rise: u32, known: Health) -> Self {
        Self { fall: fall.max(1), rise: rise.max(1), health: known, against: 0 }
    }

    /// What it has come to.
    pub fn health(&self) -> Health {
        self.health
    }

    /// Takes one answer. True if the state is new.
    pub fn take(&mut self, good: bool) -> bool {
        let (supports, needed, next) = match (self.health, good) {
            (Health::Up, true) | (Health::Down, false) => (true, 0, self.health),
            (Health::Unknown, true) => (false, 1, Health::Up),
            (Health::Down, true) => (false, self.rise, Health::Up),
            (Health::Up | Health::Unknown, false) => (false, self.fall, Health::Down),
        };
        if supports {
            self.against = 0;
            return false;
        }
        self.against += 1;
        if self.against < needed {
            return false;
        }
        self.against = 0;
        self.health = next;
        true
    }
}

/// What several checks of one machine say together: down if one says so, up if all do.
pub fn together(checks: impl IntoIterator<Item = Health>) -> Health {
    let mut sum = None;
    for health in checks {
        sum = match (sum, health) {
            (Some(Health::Down), _) | (_, Health::Down) => Some(Health::Down),
            (Some(Health::Unknown), _) | (_, Health::Unknown) => Some(Health::Unknown),
            (None | Some(Health::Up), Health::Up) => Some(Health::Up),
        };
    }
    sum.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The states behind a row of answers: `+` good, `-` bad; `?` unknown, `u` up, `d` down.
    fn states(known: Health, answers: &str) -> String {
        let mut checked = Checked::new(3, 2, known);
        let mut told = known;
        answers
            .chars()
            .map(|answer| {
                let is_new = checked.take(answer == '+');
                assert_eq!(is_new, checked.health() != told);
                told = checked.health();
                match told {
                    Health::Unknown => '?',
                    Health::Up => 'u',
                    Health::Down => 'd',
                }
            })
            .collect()
    }

    #[test]
    fn a_machine_falls_and_rises_by_answers_in_a_row() {
        for (known, answers, expected) in [
            (Health::Unknown, "+++", "uuu"),
            (Health::Unknown, "---", "??d"),
            (Health::Unknown, "--+", "??u"),
            (Health::Up, "--+--+", "uuuuuu"),
            (Health::Up, "---", "uud"),
            (Health::Up, "----++", "uudddu"),
            (Health::Down, "+-+-", "dddd"),
            (Health::Down, "++---", "duuud"),
        ] {
            assert_eq!(states(known, answers), expected, "{known:?} {answers}");
        }
    }

    #[test]
    fn one_check_that_says_down_is_enough_and_all_must_say_up() {
        use Health::{Down, Unknown, Up};
        for (checks, expected) in [
            (vec![], Unknown),
            (vec![Up], Up),
            (vec![Up, Up], Up),
            (vec![Up, Unknown], Unknown),
            (vec![Unknown, Up, Down], Down),
            (vec![Down, Up, Up], Down),
        ] {
            assert_eq!(together(checks.clone()), expected, "{checks:?}");
        }
    }
}
