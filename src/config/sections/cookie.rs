//! `sticky.cookie` of an upstream: the sealed cookie.

use super::FLAG;
use super::names::{FIELD_NAME, secret};
use crate::config::forms::{Checked, Time, Word};
use crate::config::model::{SameSite, SealedCookie, Secure};
use crate::config::read::Section;

/// A seal is as strong as its key.
const SEAL_BYTES_MIN: usize = 32;

const SECURE: Word<Secure> = Word(&[("auto", Secure::Auto), ("true", Secure::Always), ("false", Secure::Never)]);
const SAME_SITE: Word<Option<SameSite>> = Word(&[
    ("unset", None),
    ("strict", Some(SameSite::Strict)),
    ("lax", Some(SameSite::Lax)),
    ("none", Some(SameSite::None)),
]);
const PATH: Checked = Checked("a path such as /services", |text| match text.starts_with('/') {
    true => attribute(text),
    false => Err(format!("{text:?} does not begin with /; clients would ignore it")),
});
const DOMAIN: Checked = Checked("a domain such as example.com", |text| {
    if text.trim_start_matches('.').is_empty() || !text.bytes().all(|c| c.is_ascii_alphanumeric() || b".-".contains(&c))
    {
        return Err(format!(
            "{text:?} is no domain; write one such as example.com, or leave it out for the host alone"
        ));
    }
    attribute(text)
});

/// What may stand in an attribute (RFC 6265 §4.1.1).
fn attribute(text: &str) -> Result<String, String> {
    match text.bytes().all(|c| (b' '..=b'~').contains(&c) && c != b';') {
        true => Ok(text.to_owned()),
        false => Err(format!("{text:?} holds what cannot stand in a cookie; use ASCII without ;")),
    }
}

/// The sealed cookie.
pub fn cookie(s: &mut Section) -> Option<SealedCookie> {
    let usual = SealedCookie::default();
    let name = s.required("name", "Name of the cookie.", FIELD_NAME);
    let keys = s.required_with("keys", "The first seals, all open: {file: path} or ${VARIABLE}.", |slot| {
        slot.not_empty();
        slot.one_or_list(secret)
    });
    if keys.iter().flatten().any(|key| key.reveal().len() < SEAL_BYTES_MIN) {
        s.problem("keys", format!("each needs {SEAL_BYTES_MIN} bytes at least; make one with: openssl rand -hex 32"));
    }
    let ttl = s.value("ttl", "How long it is good; it is set anew once half of that is over.", Time, usual.ttl);
    let persistent =
        s.value("persistent", "Whether Max-Age is told, so that it outlives the client's process.", FLAG, false);
    let path = s.value("path", "Path.", PATH, usual.path);
    let domain = s.optional("domain", "Domain; left out: the host alone.", DOMAIN);
    let secure = s.value("secure", "Secure; auto = to clients that come by TLS.", SECURE, usual.secure);
    let http_only = s.value("http_only", "HttpOnly.", FLAG, usual.http_only);
    let same_site = s.value("same_site", "SameSite; unset = nothing is said.", SAME_SITE, usual.same_site);
    if same_site == Some(SameSite::None) && secure == Secure::Never {
        s.problem("same_site", "browsers drop cookies with SameSite=None that are not Secure; write secure: true");
    }
    Some(SealedCookie { name: name?, keys: keys?, ttl, persistent, path, domain, secure, http_only, same_site })
}
