//! Workloads, and the sessions that a generator keeps from one run to the next.

use std::io::{self, BufRead, BufReader, BufWriter, Write};

use crate::random::Random;

/// What requests carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workload {
    /// Nothing.
    Plain,
    /// A cookie of the node's, and whatever the gateway adds.
    Cookie,
    /// A SOAP id that the client made.
    ClientMade,
    /// A SOAP id that the node issued.
    Learnt,
}

impl Workload {
    /// By the letters of the bench's rows.
    ///
    /// # Panics
    ///
    /// Where there is no such row.
    pub fn named(name: &str) -> Self {
        match name {
            "A" => Self::Plain,
            "B" => Self::Cookie,
            "CH" => Self::ClientMade,
            "CL" => Self::Learnt,
            other => panic!("no workload is called {other}"),
        }
    }
}

/// A conversation, as its client knows it.
#[derive(Debug, Default, Clone)]
pub struct Session {
    /// Empty where it has none.
    pub id: Vec<u8>,
    /// Empty where it has none.
    pub cookies: Vec<u8>,
    /// The node that has its state; 0 until that is known.
    pub node: u8,
}

impl Session {
    /// `count` sessions before their first request.
    pub fn fresh(workload: Workload, count: usize) -> Vec<Self> {
        let mut random = Random::default();
        let id = |random: &mut Random| match workload {
            Workload::ClientMade => random.uuid(0),
            _ => Vec::new(),
        };
        (0..count).map(|_| Self { id: id(&mut random), ..Self::default() }).collect()
    }

    /// Reads what `save` wrote.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn load(path: &str) -> io::Result<Vec<Self>> {
        let lines = BufReader::new(std::fs::File::open(path)?).split(b'\n');
        lines
            .map(|line| {
                let line = line?;
                let mut fields = line.split(|byte| *byte == b'\t').map(<[u8]>::to_vec);
                let mut next = || fields.next().unwrap_or_default();
                Ok(Self { node: crate::http::number(&next()) as u8, id: next(), cookies: next() })
            })
            .collect()
    }

    /// Writes them for a later run.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn save(sessions: &[Self], path: &str) -> io::Result<()> {
        let mut out = BufWriter::new(std::fs::File::create(path)?);
        for session in sessions {
            write!(out, "{}\t", session.node)?;
            out.write_all(&session.id)?;
            out.write_all(b"\t")?;
            out.write_all(&session.cookies)?;
            out.write_all(b"\n")?;
        }
        out.flush()
    }
}
