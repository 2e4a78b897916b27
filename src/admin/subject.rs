//! Whom a certificate names: its subject, as RFC 4514 writes it.

/// Attributes written at most; nobody has more.
const ATTRIBUTES_MAX: usize = 32;

/// The subject of a certificate in DER, such as `CN=deploy,O=Example`; in the order of the certificate. `unnamed` where it
/// has none, or cannot be read.
pub fn of(certificate: &[u8]) -> String {
    read(certificate).filter(|name| !name.is_empty()).unwrap_or_else(|| "unnamed".to_owned())
}

fn read(certificate: &[u8]) -> Option<String> {
    let (_, whole, _) = take(certificate)?;
    let (_, mut fields, _) = take(whole)?;
    // Version (context tag 0, may be absent), serial number, algorithm, issuer, validity (RFC 5280 §4.1).
    if take(fields)?.0 == 0xa0 {
        fields = take(fields)?.2;
    }
    for _ in 0..4 {
        fields = take(fields)?.2;
    }
    let (_, mut names, _) = take(fields)?;
    let mut out = String::new();
    for _ in 0..ATTRIBUTES_MAX {
        let Some((_, set, more)) = take(names) else { break };
        names = more;
        let (_, attribute, _) = take(set)?;
        let (_, oid, value) = take(attribute)?;
        let (_, value, _) = take(value)?;
        if !out.is_empty() {
            out.push(',');
        }
        out.push_str(label(oid));
        out.push('=');
        for c in String::from_utf8_lossy(value).chars() {
            match c {
                ',' | '+' | '"' | '\\' | '<' | '>' | ';' | '=' => out.extend(['\\', c]),
                c if c.is_control() => out.push('?'),
                c => out.push(c),
            }
        }
    }
    Some(out)
}

/// Tag, content and what follows of one DER element.
fn take(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*tag, content, rest))
}

fn label(oid: &[u8]) -> &'static str {
    match oid {
        [0x55, 4, 3] => "CN",
        [0x55, 4, 5] => "serialNumber",
        [0x55, 4, 6] => "C",
        [0x55, 4, 7] => "L",
        [0x55, 4, 8] => "ST",
        [0x55, 4, 10] => "O",
        [0x55, 4, 11] => "OU",
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1] => "emailAddress",
        [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1] => "UID",
        [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25] => "DC",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair};

    use super::*;

    fn certificate(names: &[(DnType, &str)]) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["x.test".to_owned()]).expect("a name");
        params.distinguished_name = rcgen::DistinguishedName::new();
        names.iter().for_each(|(kind, name)| params.distinguished_name.push(kind.clone(), *name));
        let key = KeyPair::generate().expect("a key");
        params.self_signed(&key).expect("a certificate").der().to_vec()
    }

    #[test]
    fn a_certificate_names_its_subject() {
        let named = certificate(&[(DnType::CommonName, "deploy, \u{e9}quipe"), (DnType::OrganizationName, "Example")]);
        assert_eq!(of(&named), "CN=deploy\\, \u{e9}quipe,O=Example");
        assert_eq!(of(&certificate(&[])), "unnamed");
    }

    #[test]
    fn what_is_no_certificate_names_nobody() {
        let good = certificate(&[(DnType::CommonName, "deploy")]);
        for length in 0..good.len() {
            let name = of(&good[..length]);
            assert!(name == "unnamed" || name == "CN=deploy", "{name}");
        }
        assert_eq!(of(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), "unnamed");
    }
}
