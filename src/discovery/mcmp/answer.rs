//! What a node is told.

/// What a node is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It is well.
    Good,
    /// A text: pairs for nodes, or lines for people.
    Text(String),
    /// It is not.
    Refused(Refused),
}

/// Why a node is refused, and what it does then: see the kinds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    kind: Kind,
    message: String,
}

/// What the stock clients make of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Never says another word to this gateway. So only for what no restart of ours could set right.
    Syntax,
    /// Introduces itself anew.
    Mem,
}

impl Refused {
    /// The message itself is wrong, and would be wrong again.
    pub fn syntax(message: impl Into<String>) -> Self {
        Self { kind: Kind::Syntax, message: message.into() }
    }

    /// This node is not known (any more): the words of mod_cluster.
    pub fn unknown_node() -> Self {
        Self { kind: Kind::Mem, message: "MEM: Can't read node".to_owned() }
    }

    /// For the field `Type`.
    pub fn kind(&self) -> &'static str {
        match self.kind {
            Kind::Syntax => "SYNTAX",
            Kind::Mem => "MEM",
        }
    }

    /// For the field `Mess`.
    pub fn message(&self) -> &str {
        &self.message
    }
}
