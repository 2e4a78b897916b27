//! Path prefixes, on the bytes of the target.

use super::Policy;
use crate::head::Request;

/// Writes `target` without `prefix` into `out`, if the path begins with it and `prefix` ends where a segment ends: `/ext` strips
/// `/ext`, `/ext/a`, `/ext?q` and `/ext;x`, not `/extra`. What is left begins with `/`.
///
/// `false`, and nothing written, where the path does not begin so. Percent-encoding is not undone: `/%65xt` is another path, as it is
/// for the routes.
pub fn strip_prefix(target: &[u8], prefix: &[u8], out: &mut Vec<u8>) -> bool {
    let prefix = prefix.strip_suffix(b"/").unwrap_or(prefix);
    match target.strip_prefix(prefix) {
        Some(rest @ [] | rest @ [b'?' | b';', ..]) => {
            out.push(b'/');
            out.extend_from_slice(rest);
            true
        }
        Some(rest @ [b'/', ..]) => {
            // `/ext//host` must not become `//host`, which reads as an authority in a redirect.
            let slashes = rest.iter().take_while(|byte| **byte == b'/').count();
            out.extend_from_slice(&rest[slashes - 1..]);
            true
        }
        _ => false,
    }
}

/// Writes `target` with `prefix` before its path into `out`. Exactly one slash stands between them; `*` stays as it is.
pub fn add_prefix(target: &[u8], prefix: &[u8], out: &mut Vec<u8>) {
    if target.first() == Some(&b'/') {
        out.extend_from_slice(prefix.strip_suffix(b"/").unwrap_or(prefix));
    }
    out.extend_from_slice(target);
}

/// Strips, then adds, as the policy says. A stripped prefix is told to the node, which may write its own address from it.
pub(super) fn apply(head: &mut Request, policy: &Policy) {
    let mut target = Vec::new();
    if !policy.strip_prefix.is_empty() && strip_prefix(head.target(), &policy.strip_prefix, &mut target) {
        head.set_target(&target);
        let prefix = policy.strip_prefix.strip_suffix(b"/").unwrap_or(&policy.strip_prefix);
        let mut told = head.fields().get(b"X-Forwarded-Prefix").unwrap_or_default().to_vec();
        if !told.is_empty() {
            told.extend_from_slice(b", ");
        }
        told.extend_from_slice(prefix);
        head.fields_mut().set(b"X-Forwarded-Prefix", &told);
        target.clear();
    }
    if !policy.add_prefix.is_empty() {
        add_prefix(head.target(), &policy.add_prefix, &mut target);
        head.set_target(&target);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stripped(target: &str, prefix: &str) -> Option<String> {
        let mut out = Vec::new();
        strip_prefix(target.as_bytes(), prefix.as_bytes(), &mut out).then(|| String::from_utf8_lossy(&out).into_owned())
    }

    #[test]
    fn a_prefix_is_stripped_where_a_segment_ends() {
        for (target, prefix, expected) in [
            ("/ext", "/ext", Some("/")),
            ("/ext/", "/ext", Some("/")),
            ("/ext/a?b", "/ext", Some("/a?b")),
            ("/ext?wsdl", "/ext", Some("/?wsdl")),
            ("/ext;jsessionid=1", "/ext", Some("/;jsessionid=1")),
            ("/ext/a", "/ext/", Some("/a")),
            ("/ext//h/x", "/ext", Some("/h/x")),
            ("/extra", "/ext", None),
            ("/Ext/a", "/ext", None),
            ("/a/ext", "/ext", None),
            ("*", "/ext", None),
        ] {
            assert_eq!(stripped(target, prefix).as_deref(), expected, "{target} {prefix}");
        }
    }

    #[test]
    fn a_prefix_is_added_before_the_path() {
        for (target, prefix, expected) in
            [("/a?b", "/p", "/p/a?b"), ("/", "/p/", "/p/"), ("*", "/p", "*"), ("/a", "/", "/a")]
        {
            let mut out = Vec::new();
            add_prefix(target.as_bytes(), prefix.as_bytes(), &mut out);
            assert_eq!(String::from_utf8_lossy(&out), expected);
        }
    }
}
