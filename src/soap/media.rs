//! Media types: what is read as XML, and the parameters that say how (RFC 9110 §8.3, RFC 2045 §5.1).
//!
//! Tolerant where real toolkits are not exact: any case, odd spacing, quotes or none.

use std::borrow::Cow;

/// A media type as received.
#[derive(Debug, Clone, Copy)]
pub(super) struct MediaType<'a> {
    kind: &'a [u8],
    subtype: &'a [u8],
    parameters: &'a [u8],
}

impl<'a> MediaType<'a> {
    /// Reads a `Content-Type`; `None` if it is no media type.
    pub fn parse(field: &'a [u8]) -> Option<Self> {
        let end = memchr::memchr(b';', field).unwrap_or(field.len());
        let (essence, parameters) = field.split_at(end);
        let slash = memchr::memchr(b'/', essence)?;
        let (kind, subtype) = (essence[..slash].trim_ascii(), essence[slash + 1..].trim_ascii());
        (!kind.is_empty() && !subtype.is_empty()).then_some(Self { kind, subtype, parameters })
    }

    /// Whether this is `kind/subtype`, in any case.
    pub fn is(&self, kind: &str, subtype: &str) -> bool {
        self.kind.eq_ignore_ascii_case(kind.as_bytes()) && self.subtype.eq_ignore_ascii_case(subtype.as_bytes())
    }

    /// Whether this is some `multipart` type.
    pub fn is_multipart(&self) -> bool {
        self.kind.eq_ignore_ascii_case(b"multipart")
    }

    /// Whether this is XML (RFC 7303 §4.2): `text/xml`, `application/xml` and their `+xml`.
    pub fn is_xml(&self) -> bool {
        let of_xml = self.kind.eq_ignore_ascii_case(b"text") || self.kind.eq_ignore_ascii_case(b"application");
        let suffix = self.subtype.len().checked_sub(4).map(|at| &self.subtype[at..]);
        of_xml
            && (self.subtype.eq_ignore_ascii_case(b"xml")
                || suffix.is_some_and(|suffix| suffix.eq_ignore_ascii_case(b"+xml")))
    }

    /// The value of a parameter, unquoted; the first counts.
    pub fn parameter(&self, name: &str) -> Option<Cow<'a, [u8]>> {
        let mut rest = self.parameters;
        while let Some(start) = memchr::memchr(b';', rest) {
            rest = &rest[start + 1..];
            let length = rest.iter().position(|byte| matches!(byte, b'=' | b';')).unwrap_or(rest.len());
            let is_it = rest[..length].trim_ascii().eq_ignore_ascii_case(name.as_bytes());
            if rest.get(length) != Some(&b'=') {
                rest = &rest[length..];
                continue;
            }
            let (value, behind) = value(rest[length + 1..].trim_ascii_start());
            if is_it {
                return Some(value);
            }
            rest = behind;
        }
        None
    }
}

/// A value, quoted or not, and what stands behind it.
fn value(text: &[u8]) -> (Cow<'_, [u8]>, &[u8]) {
    let Some(quoted) = text.strip_prefix(b"\"") else {
        let end = memchr::memchr(b';', text).unwrap_or(text.len());
        return (text[..end].trim_ascii().into(), &text[end..]);
    };
    let Some(end) = memchr::memchr2(b'"', b'\\', quoted) else { return (quoted.into(), &[]) };
    if quoted[end] == b'"' {
        return (quoted[..end].into(), &quoted[end + 1..]);
    }
    let mut value = Vec::new();
    let mut at = 0;
    while let Some(&byte) = quoted.get(at) {
        match byte {
            b'"' => return (value.into(), &quoted[at + 1..]),
            b'\\' if at + 1 < quoted.len() => {
                value.push(quoted[at + 1]);
                at += 1;
            }
            byte => value.push(byte),
        }
        at += 1;
    }
    (value.into(), &[])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameter(field: &str, name: &str) -> Option<String> {
        let value = MediaType::parse(field.as_bytes())?.parameter(name)?;
        Some(String::from_utf8_lossy(&value).into_owned())
    }

    #[test]
    fn xml_media_types_are_known_in_any_case_and_spacing() {
        for field in [
            "text/xml",
            "TEXT/XML",
            " text / xml ; charset=utf-8",
            "application/xml",
            "application/soap+xml;action=x",
            "application/xop+xml",
            "Text/Foo+XML",
        ] {
            assert!(MediaType::parse(field.as_bytes()).is_some_and(|media| media.is_xml()), "{field}");
        }
        for field in
            ["text/html", "application/json", "application/fastinfoset", "image/svg+xml", "application/xmlx", "a/b"]
        {
            assert!(!MediaType::parse(field.as_bytes()).is_some_and(|media| media.is_xml()), "{field}");
        }
        for field in ["", "xml", "/xml", "text/", ";"] {
            assert!(MediaType::parse(field.as_bytes()).is_none(), "{field}");
        }
    }

    #[test]
    fn parameters_are_unquoted() {
        let field = r#"multipart/related; a; x="1;2" ;BOUNDARY="a\"b" ; start = <r> ; charset=UTF-8"#;
        assert_eq!(parameter(field, "x").as_deref(), Some("1;2"));
        assert_eq!(parameter(field, "boundary").as_deref(), Some("a\"b"));
        assert_eq!(parameter(field, "start").as_deref(), Some("<r>"));
        assert_eq!(parameter(field, "charset").as_deref(), Some("UTF-8"));
        assert_eq!(parameter(field, "a"), None);
        assert_eq!(parameter("text/xml; charset=\"utf-8", "charset").as_deref(), Some("utf-8"));
        assert_eq!(parameter("text/xml; charset=", "charset").as_deref(), Some(""));
    }
}
