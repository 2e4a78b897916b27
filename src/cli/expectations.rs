//! `expect.yaml`: what is expected of sample conversations.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::config::model::Sticky;
use crate::config::parse_sticky;

/// Name of the file.
pub const FILE: &str = "expect.yaml";

/// What is expected of one conversation.
#[derive(Debug, Clone, Default)]
pub struct Expected {
    /// Its rules, as the text of a `sticky` section; `None` where the file names none.
    pub sticky: Option<String>,
    /// Its exchanges.
    pub exchanges: BTreeMap<u32, Exchange>,
    /// Whether the answer of a node that does not know the session is recognised.
    pub wrong_node: Option<bool>,
}

/// What is expected of one exchange; what is not said is not judged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Exchange {
    /// A known pin decides.
    pub pinned: Option<bool>,
    /// No pin is known and a weak key decides.
    pub weak: Option<bool>,
    /// An `end` condition holds.
    pub ends: Option<bool>,
    /// A `lost` condition holds.
    pub lost: Option<bool>,
}

/// An `expect.yaml`.
#[derive(Debug, Clone)]
pub struct Expectations {
    /// Where it was read.
    pub file: PathBuf,
    entries: BTreeMap<String, Value>,
    /// It is about the one conversation it lies beside.
    is_single: bool,
}

impl Expectations {
    /// Reads the file of a folder; `None` where there is none.
    ///
    /// # Errors
    /// It cannot be read, or is no mapping.
    pub fn read(folder: &Path) -> Result<Option<Self>, String> {
        let file = folder.join(FILE);
        if !file.is_file() {
            return Ok(None);
        }
        let failed = |what: String| format!("{}: {what}", file.display());
        let text = std::fs::read_to_string(&file).map_err(|error| failed(error.to_string()))?;
        let entries: BTreeMap<String, Value> =
            serde_saphyr::from_str(&text).map_err(|error| failed(error.to_string()))?;
        let is_single = entries.get("exchanges").is_some_and(Value::is_array);
        Ok(Some(Self { file, entries, is_single }))
    }

    /// Whether the file is about the one conversation it lies beside.
    pub fn is_single(&self) -> bool {
        self.is_single
    }

    /// What is expected of the conversation of this name; `None` where nothing is.
    ///
    /// # Errors
    /// What is wrong with the entry.
    pub fn of(&self, name: &str) -> Option<Result<Expected, String>> {
        if self.is_single {
            return Some(expected(self.entries.iter()));
        }
        match self.entries.get(name)? {
            Value::Object(entry) => Some(expected(entry.iter())),
            _ => Some(Err("is no mapping".to_owned())),
        }
    }
}

fn expected<'a>(entries: impl Iterator<Item = (&'a String, &'a Value)>) -> Result<Expected, String> {
    let mut out = Expected::default();
    let mut rules = serde_json::Map::new();
    let mut presets: Vec<Value> = Vec::new();
    for (key, value) in entries {
        match (key.as_str(), value) {
            ("preset", Value::String(_)) => presets.push(value.clone()),
            ("presets", Value::Array(names)) => presets.extend(names.iter().cloned()),
            ("presets", Value::String(_)) => presets.push(value.clone()),
            ("sticky", Value::Object(own)) => rules.extend(own.clone()),
            ("wrong_node", Value::Bool(is_told)) => out.wrong_node = Some(*is_told),
            ("exchanges", Value::Array(all)) => {
                for one in all {
                    let (number, exchange) = exchange(one)?;
                    if out.exchanges.insert(number, exchange).is_some() {
                        return Err(format!("exchange {number} is there twice"));
                    }
                }
            }
            // For people.
            ("note" | "title", _) => {}
            ("preset" | "presets" | "sticky" | "wrong_node" | "exchanges", _) => {
                return Err(format!("{key}: {value} is not what belongs here"));
            }
            _ => {
                return Err(format!(
                    "{key} is unknown; use preset, presets, sticky, exchanges, wrong_node, or note for people"
                ));
            }
        }
    }
    if !presets.is_empty() {
        let own = rules.remove("presets");
        presets.extend(own.and_then(|own| own.as_array().cloned()).unwrap_or_default());
        rules.insert("presets".to_owned(), Value::Array(presets));
    }
    // JSON is YAML.
    out.sticky = (!rules.is_empty()).then(|| Value::Object(rules).to_string());
    Ok(out)
}

fn exchange(value: &Value) -> Result<(u32, Exchange), String> {
    let Value::Object(entries) = value else { return Err(format!("exchanges: {value} is no mapping")) };
    let mut number = None;
    let mut out = Exchange::default();
    for (key, value) in entries {
        let place = match (key.as_str(), value) {
            ("n", Value::Number(n)) => {
                number = n.as_u64().and_then(|n| u32::try_from(n).ok());
                continue;
            }
            ("note", _) => continue,
            ("pinned", Value::Bool(_)) => &mut out.pinned,
            ("weak", Value::Bool(_)) => &mut out.weak,
            ("ends", Value::Bool(_)) => &mut out.ends,
            ("lost", Value::Bool(_)) => &mut out.lost,
            ("n" | "pinned" | "weak" | "ends" | "lost", _) => {
                return Err(format!("exchanges: {key}: {value} is not what belongs here"));
            }
            _ => {
                return Err(format!(
                    "exchanges: {key} is unknown; use n, pinned, weak, ends, lost, or note for people"
                ));
            }
        };
        *place = value.as_bool();
    }
    number.map(|number| (number, out)).ok_or_else(|| "exchanges: an entry has no `n`".to_owned())
}

impl Expected {
    /// The rules, read as the configuration reads them.
    ///
    /// # Errors
    /// Every problem, one a line.
    pub fn rules(&self) -> Result<Sticky, String> {
        let text = self.sticky.as_deref().ok_or("neither preset, presets nor sticky says by which rules")?;
        parse_sticky(text, FILE).map_err(|problems| {
            // Places in the rewritten text would mislead.
            let all: Vec<_> = problems.iter().map(|problem| format!("{}: {}", problem.key, problem.message)).collect();
            all.join("\n")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<Result<Expected, String>>, String> {
        let folder = tempfile::tempdir().expect("a folder can be made");
        std::fs::write(folder.path().join(FILE), text).expect("a file can be written");
        Ok(Expectations::read(folder.path())?.expect("it is there").of("a"))
    }

    fn check(text: &str) -> Expected {
        read(text).expect("a file").expect("an entry").expect("a good one")
    }

    #[test]
    fn what_is_expected_is_read() {
        let found = check("a: {preset: php-session, exchanges: [{n: 2, pinned: true}], wrong_node: false}\nb: {}\n");
        assert_eq!(found.exchanges[&2], Exchange { pinned: Some(true), ..Exchange::default() });
        assert_eq!(found.wrong_node, Some(false));
        assert_eq!(found.rules().expect("rules").rules.len(), 1);
    }

    #[test]
    fn own_rules_stand_beside_presets() {
        let text = r"a:
  presets: [php-session, servlet-jsessionid]
  sticky:
    namespaces: {l: 'urn:l'}
    keys: [{key: s, learn: 'header l:S', match: 'header l:S', via: [{regex: '^(\d+)\.'}]}]
";
        assert_eq!(check(text).rules().expect("rules").rules.len(), 3);
    }

    #[test]
    fn one_conversation_may_have_its_own_file() {
        assert_eq!(check("preset: php-session\nexchanges: [{n: 1, pinned: false}]\n").exchanges.len(), 1);
    }

    #[test]
    fn mistakes_are_told() {
        assert!(read("a: {prest: x}").expect("a file").expect("an entry").is_err_and(|why| why.contains("prest")));
        assert!(
            read("a: {exchanges: [{n: 1, pined: true}]}")
                .expect("a file")
                .expect("an entry")
                .is_err_and(|why| why.contains("pined"))
        );
        assert!(check("a: {preset: php-sesion}").rules().is_err_and(|why| why.contains("did you mean php-session?")));
        assert!(check("a: {exchanges: []}").rules().is_err());
        assert!(read("b: {}").expect("a file").is_none());
        assert!(read(": [").is_err());
    }
}
