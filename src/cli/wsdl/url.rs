//! Absolute URLs, and references to others (RFC 3986 §5.2).

use crate::soap::rewrite::Origin;

/// An `http` or `https` URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    pub origin: Origin,
    /// Path and query, as in a request; begins with `/`.
    pub target: String,
}

impl Url {
    /// `None` if it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let (origin, rest) = Origin::of_url(text.trim())?;
        let rest = rest.split('#').next().unwrap_or_default();
        let target = if rest.starts_with('/') { rest.to_owned() } else { format!("/{rest}") };
        target.bytes().all(|byte| byte.is_ascii_graphic()).then_some(Self { origin, target })
    }

    /// What a reference in a document at this URL leads to.
    pub fn join(&self, reference: &str) -> Option<Self> {
        let reference = reference.trim();
        if reference.contains("://") {
            return Self::parse(reference);
        }
        if let Some(authority) = reference.strip_prefix("//") {
            let scheme = if self.origin.is_https() { "https" } else { "http" };
            return Self::parse(&format!("{scheme}://{authority}"));
        }
        let path = self.target.split('?').next().unwrap_or_default();
        let target = match reference.bytes().next() {
            None | Some(b'#') => self.target.clone(),
            Some(b'/') => reference.to_owned(),
            Some(b'?') => format!("{path}{reference}"),
            Some(_) => format!("{}/{reference}", path.rsplit_once('/').map_or("", |(folder, _)| folder)),
        };
        let (path, query) = target.split_once('?').map_or((target.as_str(), None), |(path, query)| (path, Some(query)));
        let mut segments: Vec<&str> = Vec::new();
        for segment in path.split('/').skip(1) {
            match segment {
                "." => {}
                ".." => drop(segments.pop()),
                segment => segments.push(segment),
            }
        }
        let query = query.map_or_else(String::new, |query| format!("?{query}"));
        Self::parse(&format!("{}/{}{query}", self.origin, segments.join("/")))
    }
}

impl std::fmt::Display for Url {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.origin, self.target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_lead_where_browsers_would_go() {
        let base = Url::parse("http://h:81/a/b?wsdl").expect("a URL");
        for (reference, expected) in [
            ("c.xsd", "http://h:81/a/c.xsd"),
            ("../c/./d?e=1#f", "http://h:81/c/d?e=1"),
            ("../../../c", "http://h:81/c"),
            ("?xsd=1", "http://h:81/a/b?xsd=1"),
            ("/c?x=../y", "http://h:81/c?x=../y"),
            ("//k/c", "http://k/c"),
            ("HTTPS://k:443", "https://k/"),
            ("", "http://h:81/a/b?wsdl"),
        ] {
            assert_eq!(base.join(reference).map(|url| url.to_string()).as_deref(), Some(expected), "{reference}");
        }
        for reference in ["ftp://h/", "http://", "a b", "http://u@h/"] {
            assert_eq!(base.join(reference), None, "{reference}");
        }
    }
}
