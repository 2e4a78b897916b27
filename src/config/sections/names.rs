//! Names, prefixes, and the small texts that several sections share.

use crate::config::forms::{AnyText, Checked, SecretFile, SecretText};
use crate::config::model::Secret;
use crate::config::read::Slot;
use crate::session::spec::Text;
use crate::soap::Prefixes;

/// Letters of a name at most: it stands in logs, metrics and commands.
const NAME_MAX: usize = 128;

/// The name of a listener, an upstream, a node, a token, a key.
pub const NAME: Checked = Checked("a name", name);

/// Checks a name.
///
/// # Errors
/// It is empty, too long, or holds what would be ambiguous in commands and logs.
pub fn name(text: &str) -> Result<String, String> {
    let good = |c: char| c.is_ascii_alphanumeric() || "-_.:@".contains(c);
    if text.is_empty() || text.len() > NAME_MAX {
        return Err(format!("a name has 1 to {NAME_MAX} letters"));
    }
    match text.chars().find(|c| !good(*c)) {
        Some(c) => Err(format!("{c:?} cannot stand in a name; use letters, digits and - _ . : @")),
        None => Ok(text.to_owned()),
    }
}

/// The name of a header field: a token of RFC 9110 §5.6.2.
pub const FIELD_NAME: Checked = Checked("the name of a header field", |text| {
    let good = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if !text.is_empty() && text.len() <= 256 && text.chars().all(good) {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} is no name of a header field; use letters, digits and -"))
    }
});

/// A text with its place.
pub fn text(slot: &mut Slot) -> Option<Text> {
    let at = slot.at();
    slot.cx().keep_key(at);
    slot.scalar(AnyText).map(|text| Text { text, at })
}

/// `{prefix: uri | [uri, uri]}`.
pub fn namespaces(slot: &mut Slot) -> Option<Prefixes> {
    let pairs = slot.named(|prefix, at, slot| {
        if !slot.cx().describing()
            && let Err(message) = check_prefix(prefix)
        {
            slot.cx().problem(at, message);
        }
        let uris = slot.one_or_list(|slot| slot.scalar(Checked("a namespace", namespace)))?;
        if uris.is_empty() {
            slot.problem("names no namespace; write its URI");
        }
        Some((prefix.to_owned(), uris))
    })?;
    Some(pairs.into_iter().collect())
}

fn check_prefix(prefix: &str) -> Result<(), String> {
    let good = |c: char| c.is_alphanumeric() || "-_.".contains(c);
    if prefix.starts_with(|c: char| c.is_alphabetic() || c == '_') && prefix.chars().all(good) {
        Ok(())
    } else {
        Err(format!("{prefix:?} is no prefix; it begins with a letter and holds letters, digits and - _ ."))
    }
}

fn namespace(text: &str) -> Result<String, String> {
    match text.find('*') {
        _ if text.is_empty() => Err("a namespace cannot be empty; names without one take no prefix".to_owned()),
        Some(0) => Err("* alone would be every namespace; write *:name in the path for that".to_owned()),
        Some(star) if star + 1 < text.len() => Err(format!("{text:?}: * may stand only at the end of a namespace")),
        _ if text.contains(char::is_whitespace) => Err(format!("{text:?} holds white space; a namespace has none")),
        _ => Ok(text.to_owned()),
    }
}

/// A secret: a text (which may hold `${NAME}`) or `{file: path}`.
pub fn secret(slot: &mut Slot) -> Option<Secret> {
    let doc = "The file that holds the secret; white space around it is removed.";
    let value = slot.scalar_or_map(
        |slot| slot.scalar(SecretText),
        |slot| slot.map(|s| s.required("file", doc, SecretFile)).flatten(),
    );
    slot.describe_once("secret");
    slot.redact(value.is_some());
    value
}
