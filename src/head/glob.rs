//! Patterns with stars: of hosts, paths, operations, cookie names and file names.

/// Whether `text` is like `pattern`, in which each `*` is any run of bytes.
pub fn is_like(pattern: &[u8], text: &[u8]) -> bool {
    let Some(star) = memchr::memchr(b'*', pattern) else { return pattern == text };
    let Some(mut rest) = text.strip_prefix(&pattern[..star]) else { return false };
    let mut parts = pattern[star + 1..].split(|byte| *byte == b'*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match memchr::memmem::find(rest, part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_any_run() {
        for (pattern, text, expected) in [
            ("JSESSIONID", "JSESSIONID", true),
            ("JSESSIONID", "JSESSIONIDSSO", false),
            ("saplb_*", "saplb_PORTAL", true),
            ("*PSJSESSIONID", "host-80-PSJSESSIONID", true),
            ("*PSJSESSIONID", "PSJSESSIONID2", false),
            ("*", "", true),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "aXcYb", false),
            ("ab*ba", "aba", false),
            ("a*a", "aa", true),
            ("a*a", "a", false),
            ("/a/*", "/a/", true),
            ("/a/*", "/a", false),
            ("*/x/*", "/1/x/2", true),
            ("/a*b", "/aXbc", false),
            ("*.yaml", "a.yml", false),
        ] {
            assert_eq!(is_like(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} {text}");
        }
    }
}
