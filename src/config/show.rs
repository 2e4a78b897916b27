//! Values as they are shown: the effective configuration, and the rules of a preset, as YAML.

use std::fmt::Write;

/// A value to be shown.
#[derive(Debug, Clone, PartialEq)]
pub enum Shown {
    /// A text, quoted where YAML would read something else.
    Text(String),
    /// A number, a word, `true`: never quoted.
    Plain(String),
    /// Set, but not shown.
    Secret,
    /// A list.
    List(Vec<Shown>),
    /// A map.
    Map(Vec<(String, Shown)>),
}

/// What stands where a secret is.
pub const REDACTED: &str = "(secret)";

/// Columns up to which a list or map stays on one line.
const WIDTH: usize = 110;

impl Shown {
    /// As YAML, lines ended.
    pub fn to_yaml(&self) -> String {
        let mut out = String::new();
        self.block(0, &mut out);
        out
    }

    /// The value under a key of a map.
    pub fn get(&self, key: &str) -> Option<&Shown> {
        match self {
            Shown::Map(entries) => entries.iter().find(|(name, _)| name == key).map(|(_, value)| value),
            _ => None,
        }
    }

    /// On one line.
    pub fn to_line(&self) -> String {
        match self {
            Shown::Text(text) => quote(text),
            Shown::Plain(text) => text.clone(),
            Shown::Secret => quote(REDACTED),
            Shown::List(items) => format!("[{}]", items.iter().map(Shown::to_line).collect::<Vec<_>>().join(", ")),
            Shown::Map(entries) => {
                let entries: Vec<_> =
                    entries.iter().map(|(key, value)| format!("{}: {}", quote(key), value.to_line())).collect();
                format!("{{{}}}", entries.join(", "))
            }
        }
    }

    /// Whether the value may stay on one line: nothing deeper than a flat list or map, or a list item.
    fn is_flat(&self, deep: usize) -> bool {
        match self {
            Shown::List(items) => items.is_empty() || (deep > 0 && items.iter().all(|item| item.is_flat(deep - 1))),
            Shown::Map(entries) => {
                entries.is_empty() || (deep > 0 && entries.iter().all(|(_, value)| value.is_flat(deep - 1)))
            }
            _ => true,
        }
    }

    fn block(&self, indent: usize, out: &mut String) {
        match self {
            Shown::Map(entries) if !entries.is_empty() => {
                for (key, value) in entries {
                    let _ = write!(out, "{:indent$}{}:", "", quote(key));
                    value.behind(indent, quote(key).len() + 2, out);
                }
            }
            Shown::List(items) if !items.is_empty() => {
                for item in items {
                    let _ = write!(out, "{:indent$}-", "");
                    match item {
                        // The first key of a map stands behind the dash, the others below it.
                        Shown::Map(entries) if !entries.is_empty() && !item.fits(indent + 2) => {
                            let mut inner = String::new();
                            item.block(indent + 2, &mut inner);
                            out.push(' ');
                            out.push_str(inner.trim_start());
                        }
                        _ => item.behind(indent, 2, out),
                    }
                }
            }
            _ => {
                let _ = writeln!(out, "{:indent$}{}", "", self.to_line());
            }
        }
    }

    fn behind(&self, indent: usize, used: usize, out: &mut String) {
        if self.fits(indent + used) {
            let _ = writeln!(out, " {}", self.to_line());
        } else {
            out.push('\n');
            self.block(indent + 2, out);
        }
    }

    fn fits(&self, used: usize) -> bool {
        match self {
            Shown::List(_) | Shown::Map(_) => self.is_flat(3) && used + self.to_line().len() <= WIDTH,
            _ => true,
        }
    }
}

/// A text as YAML reads it back: plain where that is safe, also inside `[..]` and `{..}`.
fn quote(text: &str) -> String {
    // Where it is read again, this would begin a variable.
    let text = &text.replace("${", "$${");
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '_')
        && !text.ends_with([' ', ':'])
        && text.chars().all(|c| c.is_ascii_alphanumeric() || " _-./:@*=+()".contains(c))
        && !text.contains(": ")
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"].contains(&text.to_ascii_lowercase().as_str());
    if plain {
        return text.clone();
    }
    if !text.contains(|c: char| {
        c.is_control() || ('\u{80}'..='\u{a0}').contains(&c) || ['\u{2028}', '\u{2029}', '\u{feff}'].contains(&c)
    }) {
        let double = text.contains('\'') && !text.contains(['"', '\\']);
        return if double { format!("\"{text}\"") } else { format!("'{}'", text.replace('\'', "''")) };
    }
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_ascii_graphic() || c == ' ' => out.push(c),
            c => {
                let _ = write!(out, "\\U{:08X}", u32::from(c));
            }
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_things_stay_on_one_line() {
        let text = |t: &str| Shown::Text(t.to_owned());
        let node =
            Shown::Map(vec![("name".into(), text("a")), ("route".into(), Shown::List(vec![text("-1"), text("x")]))]);
        let shown = Shown::Map(vec![("nodes".into(), Shown::List(vec![node])), ("none".into(), Shown::List(vec![]))]);
        assert_eq!(shown.to_yaml(), "nodes: [{name: a, route: ['-1', x]}]\nnone: []\n");
    }

    #[test]
    fn texts_are_quoted_where_yaml_would_read_something_else() {
        for (text, quoted) in [
            ("a b", "a b"),
            ("no", "'no'"),
            ("", "''"),
            ("it's", "\"it's\""),
            ("it's \\d", "'it''s \\d'"),
            ("8080", "'8080'"),
            ("a: b", "'a: b'"),
            ("#", "'#'"),
            ("${A}", "'$${A}'"),
            ("a\nb", "\"a\\nb\""),
        ] {
            assert_eq!(quote(text), quoted);
        }
    }
}
