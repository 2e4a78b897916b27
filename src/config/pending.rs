//! What the file may say, but nothing acts on yet.
//!
//! One row each: whoever makes a key work deletes its row.

use super::read::Written;

/// A key of the file that nothing acts on yet.
struct Pending {
    /// The key and all below it, with `*` for names.
    key: &'static str,
    /// Only this value; empty = every value but the default.
    value: &'static str,
    /// What happens instead.
    instead: &'static str,
}

const fn row(key: &'static str, value: &'static str, instead: &'static str) -> Pending {
    Pending { key, value, instead }
}

/// The table.
const PENDING: &[Pending] = &[
    row("upstreams.*.sticky.keys.learn_outbound", "", "requests that nodes send out are not read"),
    row("affinity.store.postgres", "", "pins are kept in memory only"),
    row("affinity.store.hazelcast", "", "pins are kept in memory only"),
];

/// One warning for each row that the file meets, at its first place.
pub fn warnings(written: &[Written]) -> Vec<(Written, String)> {
    let mut warnings = Vec::new();
    for row in PENDING {
        let met: Vec<&Written> = written.iter().filter(|one| row.covers(one)).collect();
        // A map is one place, whatever it holds.
        let wholes = met.iter().filter(|one| one.kind == row.key).count();
        let first = met.iter().find(|one| one.kind == row.key).or(met.first());
        let Some(first) = first else { continue };
        let what = if row.value.is_empty() { "is not acted on yet" } else { "this value is not acted on yet" };
        let more = match wholes {
            0 | 1 => String::new(),
            2 => " (and in 1 more place)".to_owned(),
            _ => format!(" (and in {} more places)", wholes - 1),
        };
        warnings.push(((*first).clone(), format!("{what}{more}: {}", row.instead)));
    }
    warnings
}

impl Pending {
    fn covers(&self, written: &Written) -> bool {
        let below = written.kind.strip_prefix(self.key).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        below && (self.value.is_empty() || written.value == self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::schema;

    #[test]
    fn every_row_names_a_key_that_exists() {
        let keys = schema::keys();
        for row in PENDING {
            let key = row.key.replace(".*", "");
            assert!(keys.contains(&key), "{key}");
        }
    }
}
