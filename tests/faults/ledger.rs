//! What nodes have executed: one line a request, written before it is answered.
//!
//! Each line is one `write` to a file opened for appending, so that it stands there whatever happens to the node next.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

/// What a node made of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// It began a session.
    Began,
    /// It went on with a session that it holds.
    Continued,
    /// It does not hold the session, and said so.
    Refused,
}

/// A request that a node has executed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    pub node: String,
    pub conversation: u64,
    pub request: u32,
    pub made: Made,
}

/// A node's own page.
#[derive(Debug)]
pub struct Ledger(File);

impl Ledger {
    pub fn open(path: &Path) -> io::Result<Self> {
        OpenOptions::new().create(true).append(true).open(path).map(Self)
    }

    pub fn enter(&self, done: &Done) -> io::Result<()> {
        let made = match done.made {
            Made::Began => "began",
            Made::Continued => "continued",
            Made::Refused => "refused",
        };
        let line = format!("{} {} {} {made}\n", done.node, done.conversation, done.request);
        (&self.0).write_all(line.as_bytes())
    }
}

/// All that was entered; a line that does not read is an error, as nothing may be missed.
pub fn read(text: &str) -> Result<Vec<Done>, String> {
    text.lines().map(|line| parse(line).ok_or_else(|| format!("no entry of a ledger: {line:?}"))).collect()
}

fn parse(line: &str) -> Option<Done> {
    let mut words = line.split(' ');
    let node = words.next()?.to_owned();
    let conversation = words.next()?.parse().ok()?;
    let request = words.next()?.parse().ok()?;
    let made = match words.next()? {
        "began" => Made::Began,
        "continued" => Made::Continued,
        "refused" => Made::Refused,
        _ => return None,
    };
    Some(Done { node, conversation, request, made })
}
