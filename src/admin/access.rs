//! Who may do what with the admin API: a decision of a head's fields and the configuration alone.

use std::net::IpAddr;

use crate::config::model::{Role, Token};

/// What a request says about where it comes from.
#[derive(Debug, Clone, Copy, Default)]
pub struct Claims<'a> {
    /// `Host`.
    pub host: Option<&'a str>,
    /// `Origin`: set by browsers, for pages of other sites too.
    pub origin: Option<&'a str>,
    /// `Authorization`.
    pub authorization: Option<&'a str>,
    /// Whether nobody gets this far without a client certificate.
    pub is_certified: bool,
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// A name that is not ours: a page may have bent its own name to our address (DNS rebinding).
    #[error("this Host is not served; use localhost or the address itself, or configure tokens")]
    Host,
    /// A page of another site.
    #[error("requests from pages of other sites are refused")]
    Origin,
    /// No token, or one that nobody configured.
    #[error("a token is needed: Authorization: Bearer ...")]
    Token,
    /// A token that permits less.
    #[error("the token does not permit this")]
    Role,
}

/// Who asks, for the log. Refused where Host, Origin or token do not allow it. `own` is the address the request came to.
pub fn admit<'t>(claims: Claims<'_>, own: IpAddr, tokens: &'t [Token], needed: Role) -> Result<&'t str, Denied> {
    let host = claims.host.ok_or(Denied::Host)?;
    // Who has a token or a certificate is no page that a name was bent for, so any name will do.
    if tokens.is_empty() && !claims.is_certified && !is_ours(host, own) {
        return Err(Denied::Host);
    }
    if let Some(origin) = claims.origin
        && origin.split_once("://").map(|(_, authority)| authority) != Some(host)
    {
        return Err(Denied::Origin);
    }
    if tokens.is_empty() {
        return Ok("");
    }
    let token = known(claims, tokens).ok_or(Denied::Token)?;
    if token.role.permits(needed) { Ok(&token.name) } else { Err(Denied::Role) }
}

/// The token that a request presents, whatever it permits.
pub fn known<'t>(claims: Claims<'_>, tokens: &'t [Token]) -> Option<&'t Token> {
    let (scheme, given) = claims.authorization?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    // All are compared, so that the time says nothing about which one it is.
    tokens.iter().fold(None, |known, token| {
        if is_equal(token.token.reveal().as_bytes(), given.trim().as_bytes()) { Some(token) } else { known }
    })
}

/// Whether a `Host` names this machine without asking anybody: by address, or as localhost.
fn is_ours(host: &str, own: IpAddr) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    match name.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback() || address.to_canonical() == own.to_canonical(),
        Err(_) => name.eq_ignore_ascii_case("localhost"),
    }
}

/// Compares in a time that depends on the lengths only.
fn is_equal(one: &[u8], other: &[u8]) -> bool {
    let differing = one.iter().zip(other).fold(0, |sum, (a, b)| sum | (a ^ b));
    std::hint::black_box(differing) == 0 && one.len() == other.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::Secret;
    use crate::session::spec::Mark;

    fn token(name: &str, token: &str, role: Role) -> Token {
        Token { at: Mark::default(), name: name.to_owned(), token: Secret::new(token), role }
    }

    fn check(host: &str, origin: Option<&str>, expected: Result<(), Denied>) {
        let claims = Claims { host: Some(host), origin, ..Claims::default() };
        let own = IpAddr::from([10, 0, 0, 7]);
        assert_eq!(admit(claims, own, &[], Role::Admin).map(drop), expected, "{host} {origin:?}");
    }

    #[test]
    fn without_tokens_only_names_that_nobody_can_bend_are_served() {
        for host in ["localhost", "LocalHost:9280", "127.0.0.1:9280", "127.8.8.8", "[::1]:9280", "10.0.0.7:9280"] {
            check(host, None, Ok(()));
        }
        for host in ["evil.example:9280", "localhost.evil.example", "10.0.0.8", "[::2]:9280", "127.0.0.1.nip.io", ""] {
            check(host, None, Err(Denied::Host));
        }
        let none = admit(Claims::default(), IpAddr::from([127, 0, 0, 1]), &[], Role::Read);
        assert_eq!(none, Err(Denied::Host));
        let certified = Claims { host: Some("gw.example.com"), is_certified: true, ..Claims::default() };
        assert_eq!(admit(certified, IpAddr::from([10, 0, 0, 7]), &[], Role::Admin), Ok(""));
    }

    #[test]
    fn pages_of_other_sites_are_refused() {
        check("localhost:9280", Some("http://localhost:9280"), Ok(()));
        for origin in ["http://evil.example", "http://localhost:80", "null", "http://localhost:9280.evil.example"] {
            check("localhost:9280", Some(origin), Err(Denied::Origin));
        }
    }

    #[test]
    fn tokens_permit_what_their_role_says() {
        let tokens = [
            token("look", "abc", Role::Read),
            token("deploy", "defg", Role::Operate),
            token("chief", "hijkl", Role::Admin),
            token("node", "pod", Role::Register),
        ];
        let ask = |authorization, needed| {
            let claims = Claims { host: Some("gw.example.com"), authorization, ..Claims::default() };
            admit(claims, IpAddr::from([10, 0, 0, 7]), &tokens, needed)
        };
        assert_eq!(ask(Some("Bearer abc"), Role::Read), Ok("look"));
        assert_eq!(ask(Some("bearer defg"), Role::Read), Ok("deploy"));
        assert_eq!(ask(Some("Bearer defg"), Role::Operate), Ok("deploy"));
        assert_eq!(ask(Some("Bearer abc"), Role::Operate), Err(Denied::Role));
        assert_eq!(ask(Some("Bearer defg"), Role::Admin), Err(Denied::Role));
        assert_eq!(ask(Some("Bearer hijkl"), Role::Operate), Ok("chief"));
        assert_eq!(ask(Some("Bearer hijkl"), Role::Admin), Ok("chief"));
        assert_eq!(ask(Some("Bearer abc"), Role::Register), Err(Denied::Role), "looking is not announcing");
        assert_eq!(ask(Some("Bearer defg"), Role::Register), Ok("deploy"));
        assert_eq!(ask(Some("Bearer pod"), Role::Register), Ok("node"));
        assert_eq!(ask(Some("Bearer pod"), Role::Read), Err(Denied::Role));
        for wrong in [None, Some("Bearer ab"), Some("Bearer abcd"), Some("Basic abc"), Some("abc"), Some("Bearer ")] {
            assert_eq!(ask(wrong, Role::Read), Err(Denied::Token), "{wrong:?}");
        }
    }
}
