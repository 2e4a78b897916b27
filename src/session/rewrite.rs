//! `rewrite_url`: places in answers that hold node URLs.

use super::spec::Text;
use crate::soap::{Part, Path, Prefixes};

/// The places of all sets of rules.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RewriteUrls {
    /// In messages.
    pub paths: Vec<Path>,
    /// Header fields.
    pub fields: Vec<String>,
}

impl RewriteUrls {
    /// Adds `response header PATH`, `response body PATH` or `response http NAME`.
    pub(super) fn add(&mut self, text: &Text, prefixes: &Prefixes) -> Result<(), String> {
        let written = text.text.trim();
        let mut words = written.splitn(3, char::is_whitespace);
        let part = match (words.next(), words.next()) {
            (Some("response"), Some("header")) => Some(Part::Header),
            (Some("response"), Some("body")) => Some(Part::Body),
            (Some("response"), Some("http")) => None,
            _ => {
                return Err(format!(
                    "`{written}` is no place of an answer that can be rewritten; use response body PATH, response header \
                     PATH or response http NAME"
                ));
            }
        };
        let place = words.next().unwrap_or_default().trim();
        let Some(part) = part else {
            if place.is_empty() || place.contains(char::is_whitespace) {
                return Err(format!("`{written}` needs the name of a header field, as in `response http Location`"));
            }
            self.fields.push(place.to_owned());
            return Ok(());
        };
        let path = Path::parse(part, place, prefixes).map_err(|error| format!("in `{written}`: {error}"))?;
        if !self.paths.contains(&path) {
            self.paths.push(path);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(text: &str) -> Result<RewriteUrls, String> {
        let mut urls = RewriteUrls::default();
        urls.add(&Text { text: text.into(), ..Text::default() }, &Prefixes::new())?;
        Ok(urls)
    }

    #[test]
    fn places_of_answers_are_read_and_others_refused() {
        assert_eq!(add("response body **/a/@b").map(|urls| urls.paths.len()), Ok(1));
        assert_eq!(add("response header a").map(|urls| urls.paths.len()), Ok(1));
        assert_eq!(add(" response http  X-Next ").map(|urls| urls.fields), Ok(vec!["X-Next".to_owned()]));
        for text in
            ["body a", "request body a", "response cookie a", "response http", "response body", "response body x:a", ""]
        {
            assert!(add(text).is_err(), "{text}");
        }
    }
}
