//! What a value that a person holds in hand may look like as a key.

use std::borrow::Cow;

use super::rules::KeyRule;
use super::transform::apply_all;

impl KeyRule {
    /// What the rule would make of this value, read by each of its selectors; and the value itself, in case it is what the rule
    /// makes already. The likeliest first, each once.
    pub fn readings(&self, value: &[u8]) -> Vec<Vec<u8>> {
        let mut readings: Vec<Vec<u8>> = Vec::new();
        let selectors = self.matches.iter().chain(&self.learns);
        let read = selectors.filter_map(|selector| apply_all(selector.via(), Cow::Borrowed(value)));
        let read = read.filter_map(|value| apply_all(&self.via, value)).map(Cow::into_owned);
        for reading in read.chain([value.to_vec()]) {
            if !reading.is_empty() && !readings.contains(&reading) {
                readings.push(reading);
            }
        }
        readings
    }
}

#[cfg(test)]
mod tests {
    use crate::session::RuleSet;
    use crate::session::spec::{Key, Rules, Selector, Text, Transform, Ttl};
    use crate::soap::Prefixes;

    #[test]
    fn a_value_is_tried_as_it_is_and_as_the_rule_reads_it() {
        let text = |text: &str| Text { text: text.to_owned(), ..Default::default() };
        let key = Key {
            key: text("id"),
            match_: vec![Selector { at: text("cookie ID"), ..Default::default() }],
            via: vec![Transform::Regex(text("^([^.]+)")), Transform::Lower],
            ..Default::default()
        };
        let rules =
            RuleSet::compile(&[Rules { keys: vec![key], ..Default::default() }], &Prefixes::new(), &Ttl::default())
                .expect("good rules");
        assert_eq!(rules.keys()[0].readings(b"ABC.n1"), [b"abc".to_vec(), b"ABC.n1".to_vec()]);
        assert_eq!(rules.keys()[0].readings(b"abc"), [b"abc".to_vec()]);
    }
}
