//! What a scenario came to: what clients were told, against what nodes have executed.
//!
//! Pure: records in, one row out.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ledger::{Done, Made};

/// How a request ended for its client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The node's answer came whole.
    Answered,
    /// A node's answer came whole, but it is another request's.
    Wrong,
    /// A Fault of the gateway, by its code; `-` where it has none.
    Fault { code: String },
    /// The node said that it does not know the session.
    Stranger,
    /// An answer began and broke off: by design, where the node's did.
    Cut,
    /// No byte of an answer came.
    Nothing { why: String },
}

/// What a client knows of a request it sent.
#[derive(Debug, Clone)]
pub struct Told {
    pub conversation: u64,
    pub request: u32,
    /// What the node was asked to do wrong.
    pub how: String,
    pub outcome: Outcome,
    pub took: Duration,
}

/// Codes that promise that nothing was executed.
const NOT_EXECUTED: [&str; 3] = ["NodeUnavailable", "Overloaded", "SessionLost"];

/// All that is known in the end.
#[derive(Debug, Default)]
pub struct Evidence {
    pub told: Vec<Told>,
    pub done: Vec<Done>,
    /// Conversation and request → the decision in the access log.
    pub decisions: HashMap<(u64, u32), String>,
    /// The table was too small on purpose: a conversation may have been pushed out before anybody came back to it.
    pub overflows: bool,
    /// The gateway was killed: what no client has had an answer from, nobody has been promised.
    pub was_killed: bool,
}

/// One line of the table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    pub scenario: String,
    pub requests: usize,
    /// No answer at all.
    pub lost: usize,
    /// Answers that broke off.
    pub cut: usize,
    pub faults: usize,
    pub twice: usize,
    pub silently: usize,
    pub reported: usize,
    pub unpinned: usize,
    pub stall_ms: u64,
    /// What did not come up to what was expected.
    pub complaints: Vec<String>,
    /// Why it was not run.
    pub not_run: Option<String>,
}

/// Requests executed where their conversation was not.
#[derive(Debug, Default)]
struct Moves {
    silently: Vec<String>,
    reported: usize,
    /// Of conversations that nobody had come back to when the table became too small.
    pushed_out: usize,
}

impl Evidence {
    /// The row, with complaints about what must never be.
    pub fn row(&self, scenario: &str) -> Row {
        let mut times: HashMap<(u64, u32), usize> = HashMap::new();
        for done in &self.done {
            *times.entry((done.conversation, done.request)).or_default() += 1;
        }
        let twice = times.values().map(|times| times - 1).sum();
        let count = |fits: fn(&Outcome) -> bool| self.told.iter().filter(|told| fits(&told.outcome)).count();
        let Moves { silently, reported, pushed_out } = self.moves();
        let mut row = Row {
            scenario: scenario.to_owned(),
            requests: self.told.len(),
            lost: count(|outcome| matches!(outcome, Outcome::Nothing { .. })),
            cut: count(|outcome| matches!(outcome, Outcome::Cut)),
            faults: count(|outcome| matches!(outcome, Outcome::Fault { .. } | Outcome::Stranger)),
            twice,
            silently: silently.len(),
            reported,
            unpinned: self.decisions.values().filter(|decision| *decision == "full").count() + pushed_out,
            stall_ms: self.told.iter().map(|told| told.took.as_millis() as u64).max().unwrap_or(0),
            complaints: Vec::new(),
            not_run: None,
        };
        let complaints = &mut row.complaints;
        let wrong = count(|outcome| matches!(outcome, Outcome::Wrong));
        if wrong > 0 {
            complaints.push(format!("{wrong} answers belonged to other requests"));
        }
        if twice > 0 {
            complaints.push(format!("{twice} requests were executed twice"));
        }
        if let Some(first) = silently.first() {
            complaints.push(format!("{} requests were moved silently, first {first}", silently.len()));
        }
        for told in &self.told {
            let times = times.get(&(told.conversation, told.request)).copied().unwrap_or(0);
            match &told.outcome {
                Outcome::Fault { code } if times > 0 && NOT_EXECUTED.contains(&code.as_str()) => {
                    complaints.push(format!(
                        "{}/{} was executed, and its client was told {code}",
                        told.conversation, told.request
                    ));
                }
                Outcome::Answered if times == 0 => {
                    complaints.push(format!("{}/{} was answered but not executed", told.conversation, told.request));
                }
                _ => {}
            }
        }
        row
    }

    /// Requests that a node executed without holding their conversation.
    fn moves(&self) -> Moves {
        let mut by_conversation: BTreeMap<u64, Vec<&Done>> = BTreeMap::new();
        for done in &self.done {
            by_conversation.entry(done.conversation).or_default().push(done);
        }
        let mut moves = Moves::default();
        let mut first_answers: HashMap<u64, u32> = HashMap::new();
        for told in self.told.iter().filter(|told| told.outcome == Outcome::Answered) {
            let first = first_answers.entry(told.conversation).or_insert(told.request);
            *first = told.request.min(*first);
        }
        for (conversation, mut entries) in by_conversation {
            entries.sort_by_key(|done| done.request);
            let mut home: Option<&str> = None;
            let mut is_pinned = true;
            // The last request that was placed by its pin: two first ones in parallel, where the client made up its id.
            let mut pinned = 0;
            for done in entries {
                let decision = self.decisions.get(&(conversation, done.request)).map_or("", String::as_str);
                is_pinned &= decision != "full";
                match home {
                    None => {
                        if done.made != Made::Refused {
                            home = Some(&done.node);
                        }
                    }
                    Some(node) if node == done.node => {
                        if decision == "pin" {
                            pinned = done.request;
                        }
                    }
                    Some(_) if ["move", "second"].contains(&decision) => {
                        moves.reported += 1;
                        home = Some(&done.node);
                    }
                    Some(_)
                        if self.was_killed && first_answers.get(&conversation).is_none_or(|&at| at >= done.request) =>
                    {
                        home = Some(&done.node);
                    }
                    // It never had a pin, which has a column of its own.
                    Some(_) if !is_pinned => {}
                    Some(_) if self.overflows && pinned <= u32::from(done.made != Made::Refused) => {
                        moves.pushed_out += 1;
                        is_pinned = false;
                    }
                    Some(node) => moves
                        .silently
                        .push(format!("{conversation}/{} from {node} to {} ({decision})", done.request, done.node)),
                }
            }
        }
        moves
    }

    /// Requests that were meant to go well, in conversations that no named node ever held, and did not go well.
    pub fn disturbed(&self, faulty: &[&str]) -> Vec<String> {
        let touched: BTreeSet<u64> = self
            .done
            .iter()
            .filter(|done| faulty.contains(&done.node.as_str()))
            .map(|done| done.conversation)
            .collect();
        let placed: BTreeSet<u64> = self.done.iter().map(|done| done.conversation).collect();
        self.told
            .iter()
            .filter(|told| placed.contains(&told.conversation) && !touched.contains(&told.conversation))
            .filter(|told| told.how == "ok" && !matches!(told.outcome, Outcome::Answered))
            .map(|told| format!("{}/{}: {:?}", told.conversation, told.request, told.outcome))
            .collect()
    }

    /// How often clients were told this Fault.
    pub fn faults(&self, code: &str) -> usize {
        self.told.iter().filter(|told| matches!(&told.outcome, Outcome::Fault { code: own } if own == code)).count()
    }

    /// How often a node said that it does not know a session.
    pub fn strangers(&self) -> usize {
        self.told.iter().filter(|told| told.outcome == Outcome::Stranger).count()
    }

    /// Requests that got no answer although a node has executed them.
    pub fn lost_after_execution(&self) -> usize {
        let executed: BTreeSet<_> = self.done.iter().map(|done| (done.conversation, done.request)).collect();
        let lost = self.told.iter().filter(|told| matches!(told.outcome, Outcome::Nothing { .. }));
        lost.filter(|told| executed.contains(&(told.conversation, told.request))).count()
    }

    /// Requests that were answered by their node.
    pub fn answered(&self) -> usize {
        self.told.iter().filter(|told| matches!(told.outcome, Outcome::Answered)).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `NODE:REQUEST[MADE]` of conversation 1 and `REQUEST=DECISION`.
    fn evidence(text: &str) -> Evidence {
        let mut evidence = Evidence::default();
        for word in text.split(' ') {
            if let Some((node, request)) = word.split_once(':') {
                let request = request.parse().expect("a number");
                let made = if evidence.done.is_empty() { Made::Began } else { Made::Continued };
                evidence.done.push(Done { node: node.to_owned(), conversation: 1, request, made });
            } else if let Some((request, decision)) = word.split_once('=') {
                evidence.decisions.insert((1, request.parse().expect("a number")), decision.to_owned());
            }
        }
        evidence
    }

    #[test]
    fn rows_tell_what_happened() {
        for (text, twice, silently, reported) in [
            ("a:0 a:1 a:2", 0, 0, 0),
            ("a:0 a:1 a:1", 1, 0, 0),
            ("a:0 b:0", 1, 1, 0),
            ("a:0 b:1 1=unknown", 0, 1, 0),
            ("a:0 b:1 1=move b:2 2=pin", 0, 0, 1),
            ("a:0 b:1 1=move a:2 2=pin", 0, 1, 1),
            ("a:0 0=full b:1 1=unknown", 0, 0, 0),
            ("a:1 a:0 b:2", 0, 1, 0),
        ] {
            let row = evidence(text).row("x");
            assert_eq!((row.twice, row.silently, row.reported), (twice, silently, reported), "{text}");
            assert_eq!(row.complaints.is_empty(), twice + silently == 0, "{text}");
        }
    }

    #[test]
    fn who_is_told_that_nothing_was_executed_is_told_the_truth() {
        let mut evidence = evidence("a:0");
        for (code, honest) in [("NodeFailed", true), ("Overloaded", false)] {
            let outcome = Outcome::Fault { code: code.to_owned() };
            evidence.told =
                vec![Told { conversation: 1, request: 0, how: "ok".to_owned(), outcome, took: Duration::ZERO }];
            assert_eq!(evidence.row("x").complaints.is_empty(), honest, "{code}");
        }
    }
}
