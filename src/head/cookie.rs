//! Cookies, read as tolerantly as servers and old clients write them (RFC 6265 §5, RFC 2109, RFC 2965).
//!
//! Only for reading: fields are passed on as they came.

use super::{Fields, Name, date};

/// One `Set-Cookie` line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetCookie<'a> {
    /// The cookie's name; never empty.
    pub name: &'a [u8],
    /// The value with its quotes, if it has any.
    pub value: &'a [u8],
    /// `Max-Age` in seconds, where it is a number.
    pub max_age: Option<i64>,
    /// `Expires` in seconds since 1970, where it is a date.
    pub expires: Option<i64>,
    /// `Path`, without quotes.
    pub path: Option<&'a [u8]>,
    /// `Domain`, without quotes and leading dot.
    pub domain: Option<&'a [u8]>,
}

impl SetCookie<'_> {
    /// Whether this line takes the cookie away: `Max-Age` not above 0, `Expires` in the past, or an empty value.
    ///
    /// `Max-Age` wins over `Expires` (RFC 6265 §5.3). `now_unix` in seconds since 1970.
    pub fn is_deleted(&self, now_unix: i64) -> bool {
        let expired = match (self.max_age, self.expires) {
            (Some(age), _) => age <= 0,
            (None, Some(date)) => date <= now_unix,
            (None, None) => false,
        };
        expired || matches!(self.value, b"" | b"\"\"")
    }
}

/// The cookies of a request, from all its `Cookie` lines, in order.
///
/// Names without `=`, empty names, names that begin with `$` (RFC 2965) and attributes that old clients send back (`Path=/`,
/// `HttpOnly=null`) are no cookies. Values keep their quotes. Cookies end with `;`; also with a comma, if another
/// `name=` follows it and either white space stands between (lines merged into one) or the line says `$Version` (RFC 2109 §4.4).
pub fn request_cookies(fields: &Fields) -> impl Iterator<Item = (&[u8], &[u8])> {
    fields.all_known(Name::Cookie).flat_map(Pairs::of)
}

/// A `Cookie` line without the cookies of this name and the attributes behind them; every other byte stays. `None`: it has none.
/// Empty: nothing else is in it.
pub fn without(line: &[u8], unwanted: &[u8]) -> Option<Vec<u8>> {
    let mut pairs = Pairs::of(line);
    let mut out = Vec::with_capacity(line.len());
    let (mut is_found, mut is_dropping) = (false, false);
    while !pairs.rest.is_empty() {
        let end = pairs.end_of_pair();
        let (name, value) = pair(&pairs.rest[..end]);
        is_dropping = (name == unwanted && value.is_some()) || (is_dropping && is_attribute(name));
        let (piece, rest) = pairs.rest.split_at((end + 1).min(pairs.rest.len()));
        if !is_dropping {
            out.extend_from_slice(if out.is_empty() { piece.trim_ascii_start() } else { piece });
        } else if rest.is_empty() {
            // What parted the last one from it.
            out.truncate(out.trim_ascii_end().len());
            out.truncate(out.strip_suffix(b";").or(out.strip_suffix(b",")).unwrap_or(&out).len());
        }
        is_found |= is_dropping;
        pairs.rest = rest;
    }
    if Pairs::of(&out).next().is_none() {
        out.clear();
    }
    is_found.then_some(out)
}

/// The `Set-Cookie` lines of a response, in order (RFC 6265 §5.2); lines without a name are skipped.
pub fn response_cookies(fields: &Fields) -> impl Iterator<Item = SetCookie<'_>> {
    fields.all_known(Name::SetCookie).filter_map(set_cookie)
}

fn set_cookie(line: &[u8]) -> Option<SetCookie<'_>> {
    let mut parts = line.split(|byte| *byte == b';');
    let (name, value) = pair(parts.next()?);
    let value = value?;
    if name.is_empty() {
        return None;
    }
    let mut cookie = SetCookie { name, value, max_age: None, expires: None, path: None, domain: None };
    for part in parts {
        let (name, value) = pair(part);
        let value = unquoted(value.unwrap_or_default());
        // A later attribute takes the place of an earlier one only if it can be read (§5.2.1, §5.2.2).
        if name.eq_ignore_ascii_case(b"max-age") {
            cookie.max_age = seconds(value).or(cookie.max_age);
        } else if name.eq_ignore_ascii_case(b"expires") {
            cookie.expires = date::unix_seconds(value).or(cookie.expires);
        } else if name.eq_ignore_ascii_case(b"path") {
            cookie.path = Some(value);
        } else if name.eq_ignore_ascii_case(b"domain") && !value.is_empty() {
            cookie.domain = Some(value.strip_prefix(b".").unwrap_or(value));
        }
    }
    Some(cookie)
}

/// `-` or a digit, then digits (RFC 6265 §5.2.2); too large is the largest.
fn seconds(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if text.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = digits.iter().fold(0i64, |n, digit| n.saturating_mul(10).saturating_add(i64::from(digit - b'0')));
    Some(if negative { -number } else { number })
}

/// Name and value around the first `=`, without white space; no value where there is no `=`.
fn pair(text: &[u8]) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(b'=', text) {
        Some(equals) => (trim(&text[..equals]), Some(trim(&text[equals + 1..]))),
        None => (trim(text), None),
    }
}

fn trim(text: &[u8]) -> &[u8] {
    text.trim_ascii()
}

fn unquoted(text: &[u8]) -> &[u8] {
    match text {
        [b'"', inside @ .., b'"'] => inside,
        _ => text,
    }
}

/// Whether `name` is an attribute that a client sent back as if it were a cookie, or one of RFC 2965's own.
fn is_attribute(name: &[u8]) -> bool {
    const ATTRIBUTES: [&str; 8] = ["path", "domain", "expires", "max-age", "httponly", "secure", "version", "samesite"];
    name.first() == Some(&b'$') || ATTRIBUTES.iter().any(|attribute| name.eq_ignore_ascii_case(attribute.as_bytes()))
}

/// The cookies of one `Cookie` line.
struct Pairs<'a> {
    rest: &'a [u8],
    /// The line was written by the rules of RFC 2109: cookies may be parted by commas.
    rfc2109: bool,
}

impl<'a> Pairs<'a> {
    fn of(line: &'a [u8]) -> Self {
        // Hardly any line has a `$`.
        let mut dollars = memchr::memchr_iter(b'$', line).map(|at| &line[at..]);
        let rfc2109 = dollars.any(|rest| rest.starts_with(b"$Version") || rest.starts_with(b"$version"));
        Self { rest: line, rfc2109 }
    }
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        while !self.rest.is_empty() {
            let end = self.end_of_pair();
            let piece = &self.rest[..end];
            self.rest = self.rest.get(end + 1..).unwrap_or_default();
            let (name, value) = pair(piece);
            if let Some(value) = value
                && !name.is_empty()
                && !is_attribute(name)
            {
                return Some((name, value));
            }
        }
        None
    }
}

impl Pairs<'_> {
    /// Where the separator stands, or the end of the line.
    fn end_of_pair(&self) -> usize {
        let rest = self.rest;
        let mut from = quoted_value_end(rest).unwrap_or(0);
        while let Some(at) = memchr::memchr2(b';', b',', &rest[from..]).map(|at| from + at) {
            if rest[at] == b';' || self.separates(&rest[at + 1..]) {
                return at;
            }
            from = at + 1;
        }
        rest.len()
    }

    /// Whether a comma before `next` parts two cookies.
    fn separates(&self, next: &[u8]) -> bool {
        let trimmed = next.trim_ascii_start();
        let name = trimmed.iter().take_while(|byte| is_name(**byte)).count();
        name > 0 && trimmed.get(name) == Some(&b'=') && (self.rfc2109 || trimmed.len() < next.len())
    }
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_graphic()
        && !matches!(byte, b'"' | b'(' | b')' | b',' | b'/' | b':'..=b'@' | b'[' | b'\\' | b']' | b'{' | b'}')
}

/// Where a value in quotes ends, if the pair at the begin of `text` has one and a separator or the end follows it.
fn quoted_value_end(text: &[u8]) -> Option<usize> {
    let equals = memchr::memchr2(b'=', b';', text).filter(|at| text[*at] == b'=')?;
    let open = equals + 1 + text[equals + 1..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    if text.get(open) != Some(&b'"') {
        return None;
    }
    let mut at = open + 1;
    while let Some(found) = memchr::memchr2(b'"', b'\\', text.get(at..)?).map(|found| at + found) {
        if text[found] == b'\\' {
            at = found + 2;
            continue;
        }
        let after = found + 1;
        let follows = text[after..].trim_ascii_start().first();
        return matches!(follows, None | Some(b';' | b',')).then_some(after);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookies(lines: &[&str]) -> String {
        let mut fields = Fields::default();
        for line in lines {
            fields.push(b"cookie", line.as_bytes());
        }
        let text: Vec<_> = request_cookies(&fields)
            .map(|(name, value)| format!("{}={}", String::from_utf8_lossy(name), String::from_utf8_lossy(value)))
            .collect();
        text.join(" | ")
    }

    fn answer(line: &str) -> Option<String> {
        let mut fields = Fields::default();
        fields.push(b"Set-Cookie", line.as_bytes());
        let cookie = response_cookies(&fields).next()?;
        let deleted = if cookie.is_deleted(1_000_000_000) { " deleted" } else { "" };
        Some(format!("{}={}{deleted}", String::from_utf8_lossy(cookie.name), String::from_utf8_lossy(cookie.value)))
    }

    #[test]
    fn a_cookie_is_taken_out_and_the_others_stay_as_they_are() {
        for (line, expected) in [
            ("a=1; b=2", None),
            ("xC=1; Cx=2; c=3", None),
            ("C=1", Some("")),
            ("C=1; a=\"x\"", Some("a=\"x\"")),
            ("a=1;  C=1;b=2", Some("a=1;b=2")),
            ("a=1; C=1", Some("a=1")),
            ("a=1; C=1; C=2", Some("a=1")),
            ("C=1; a=1; C=2; b=2", Some("a=1; b=2")),
            ("$Version=1; C=\"x\"; $Path=\"/\"; a=b; $Path=\"/p\"", Some("$Version=1; a=b; $Path=\"/p\"")),
            ("$Version=1; C=x", Some("")),
        ] {
            let left = without(line.as_bytes(), b"C").map(|left| String::from_utf8_lossy(&left).into_owned());
            assert_eq!(left.as_deref(), expected, "{line}");
        }
    }

    #[test]
    fn cookies_are_found_as_old_clients_write_them() {
        for (lines, expected) in [
            (&["a=1; b=2"][..], "a=1 | b=2"),
            (&["a=1;b=2;"], "a=1 | b=2"),
            (&["a=1", "", "b=2"], "a=1 | b=2"),
            (&[";; a=1 ;;"], "a=1"),
            (&["a"], ""),
            (&["=1; b=2"], "b=2"),
            (&["a="], "a="),
            (&["a = 1 ; b\t=\t2"], "a=1 | b=2"),
            (&["a=b=c"], "a=b=c"),
            (&["JSESSIONID=X; Path=/axis2; HttpOnly=null"], "JSESSIONID=X"),
            (&["$Version=1; a=1; $Path=/; b=2; $Domain=x"], "a=1 | b=2"),
            (&["$Version=\"1\",a=\"1\";$Path=\"/\",b=2"], "a=\"1\" | b=2"),
            (&["a=1, b=2"], "a=1 | b=2"),
            (&["a=1,b=2"], "a=1,b=2"),
            (&["a=1, 2; b=3"], "a=1, 2 | b=3"),
            (&["s=A; Expires=Wed, 21 Oct 2026 07:28:00 GMT; SECURE; t=B"], "s=A | t=B"),
            (&["a=\"x; y=1\"; b=2"], "a=\"x; y=1\" | b=2"),
            (&["a=\"x; b=2"], "a=\"x | b=2"),
            (&["a=\"x\"y; b=2"], "a=\"x\"y | b=2"),
            (&["JSESSIONID=1; JSESSIONID=2"], "JSESSIONID=1 | JSESSIONID=2"),
            (&["path=/; MAX-AGE=1; Samesite=Lax; version=1; Domain=d; expires=x"], ""),
        ] {
            assert_eq!(cookies(lines), expected, "{lines:?}");
        }
    }

    #[test]
    fn set_cookie_lines_are_read_as_browsers_do() {
        for (line, expected) in [
            ("a=1", "a=1"),
            (" a = 1 ; Path=/", "a=1"),
            ("a=\"1\"; Version=1", "a=\"1\""),
            ("a=b=c; x", "a=b=c"),
            ("a=", "a= deleted"),
            ("a=\"\"", "a=\"\" deleted"),
            ("a=1; Max-Age=0", "a=1 deleted"),
            ("a=1; max-age=\"0\"", "a=1 deleted"),
            ("a=1; Max-Age=-99999999999999999999", "a=1 deleted"),
            ("a=1; Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT", "a=1"),
            ("a=1; Max-Age=soon; Expires=Thu, 01 Jan 1970 00:00:00 GMT", "a=1 deleted"),
            ("a=1; expires=Thursday, 01-Jan-70 00:00:00 GMT", "a=1 deleted"),
            ("a=1; Expires=Fri, 31 Dec 9999 23:59:59 GMT", "a=1"),
            ("a=1; Expires=0", "a=1"),
        ] {
            assert_eq!(answer(line).as_deref(), Some(expected), "{line}");
        }
        for nameless in ["17", "=17", "", ";", "17; Path=/"] {
            assert_eq!(answer(nameless), None, "{nameless}");
        }
    }

    #[test]
    fn path_and_domain_come_without_quotes() {
        let cookie = set_cookie(b"a=1; Path=\"/axis2\"; Domain=.example.com").expect("has a name");
        assert_eq!((cookie.path, cookie.domain), (Some(&b"/axis2"[..]), Some(&b"example.com"[..])));
        let cookie = set_cookie(b"a=1; domain=; path").expect("has a name");
        assert_eq!((cookie.path, cookie.domain), (Some(&b""[..]), None));
    }
}
