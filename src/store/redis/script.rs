//! What the server does as one step: scripts, asked for by their digest.

use std::fmt::Write;
use std::sync::LazyLock;

use redis::Cmd;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

/// A script and how it is called.
#[derive(Debug)]
pub(super) struct Script {
    text: &'static str,
    /// What the server knows it by.
    digest: String,
}

macro_rules! script {
    ($name:ident, $file:literal) => {
        pub(super) static $name: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!($file)));
    };
}

script!(CLAIM, "scripts/claim.lua");
script!(WRITE, "scripts/write.lua");
script!(SCAN, "scripts/scan.lua");
script!(BEAT, "scripts/beat.lua");
script!(MEMBERS, "scripts/members.lua");

/// A script with its keys and arguments.
#[derive(Debug)]
pub(super) struct Step {
    script: &'static Script,
    keys: Vec<Vec<u8>>,
    arguments: Vec<Vec<u8>>,
}

impl Script {
    fn new(text: &'static str) -> Self {
        let mut hex = String::new();
        for byte in digest(&SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()).as_ref() {
            // Writing to a string does not fail.
            let _ = write!(hex, "{byte:02x}");
        }
        Self { text, digest: hex }
    }
}

impl Step {
    pub fn new(script: &'static Script) -> Self {
        Self { script, keys: Vec::new(), arguments: Vec::new() }
    }

    pub fn key(&mut self, key: impl Into<Vec<u8>>) -> &mut Self {
        self.keys.push(key.into());
        self
    }

    pub fn argument(&mut self, argument: impl Into<Vec<u8>>) -> &mut Self {
        self.arguments.push(argument.into());
        self
    }

    /// The command; with the whole text, after which the server knows it, or without.
    pub fn command(&self, whole: bool) -> Cmd {
        let mut command = match whole {
            true => redis::cmd("EVAL"),
            false => redis::cmd("EVALSHA"),
        };
        command.arg(if whole { self.script.text } else { &self.script.digest });
        command.arg(self.keys.len()).arg(&self.keys).arg(&self.arguments);
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_known_by_its_sha1() {
        assert_eq!(Script::new("return 1").digest, "e0e1f9fabfc9d4800c877a703b823ac0578ff8db");
    }
}
