//! Names of fields, told apart quickly: every line of every head asks.

/// The field names that Castile itself reads. `Other` is every other name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Name {
    Other,
    Host,
    ContentLength,
    TransferEncoding,
    Connection,
    Cookie,
    SetCookie,
    ContentType,
    ContentEncoding,
    Expect,
    Upgrade,
    SoapAction,
    Te,
    Trailer,
    KeepAlive,
    ProxyConnection,
    Forwarded,
    XForwardedFor,
    XForwardedProto,
    XForwardedHost,
    XForwardedPort,
    Via,
    Authorization,
    WwwAuthenticate,
    Location,
    Accept,
    AcceptEncoding,
    XRequestId,
    Http2Settings,
    Date,
}

/// A known name, ready to be compared eight bytes at a time.
#[derive(Clone, Copy)]
struct Known {
    /// The name in small letters: its first and its last eight bytes, which overlap; of a shorter one all, then zeros.
    begin: u64,
    end: u64,
    /// Where capitals count as small letters: bit 5 of every letter.
    begin_case: u64,
    end_case: u64,
    /// The byte that the two leave out of a name of seventeen, the longest.
    ninth: u8,
    ninth_case: u8,
    name: Name,
}

const fn word(text: &[u8], from: usize, only_case: bool) -> u64 {
    let mut word = 0;
    let mut at = 0;
    while at < 8 && from + at < text.len() {
        let byte = text[from + at];
        let value = if !only_case {
            byte
        } else if byte.is_ascii_lowercase() {
            0x20
        } else {
            0
        };
        word |= (value as u64) << (8 * at);
        at += 1;
    }
    word
}

const fn known(text: &str, name: Name) -> Known {
    let text = text.as_bytes();
    let end = text.len().saturating_sub(8);
    Known {
        begin: word(text, 0, false),
        end: word(text, end, false),
        begin_case: word(text, 0, true),
        end_case: word(text, end, true),
        ninth: word(text, 8, false) as u8,
        ninth_case: word(text, 8, true) as u8,
        name,
    }
}

macro_rules! table {
    ($($text:literal => $name:ident),* $(,)?) => { &[$(known($text, Name::$name)),*] };
}

impl Name {
    /// Which known field `name` is; letters in any case.
    pub fn of(name: &[u8]) -> Name {
        let candidates: &[Known] = match name.len() {
            2 => const { table!["te" => Te] },
            3 => const { table!["via" => Via] },
            4 => const { table!["host" => Host, "date" => Date] },
            6 => const { table!["cookie" => Cookie, "accept" => Accept, "expect" => Expect] },
            7 => const { table!["trailer" => Trailer, "upgrade" => Upgrade] },
            8 => const { table!["location" => Location] },
            9 => const { table!["forwarded" => Forwarded] },
            10 => {
                const {
                    table!["connection" => Connection, "set-cookie" => SetCookie, "soapaction" => SoapAction,
                    "keep-alive" => KeepAlive]
                }
            }
            12 => const { table!["content-type" => ContentType, "x-request-id" => XRequestId] },
            13 => const { table!["authorization" => Authorization] },
            14 => const { table!["content-length" => ContentLength, "http2-settings" => Http2Settings] },
            15 => const { table!["x-forwarded-for" => XForwardedFor, "accept-encoding" => AcceptEncoding] },
            16 => {
                const {
                    table!["content-encoding" => ContentEncoding, "x-forwarded-host" => XForwardedHost,
                    "x-forwarded-port" => XForwardedPort, "proxy-connection" => ProxyConnection,
                    "www-authenticate" => WwwAuthenticate]
                }
            }
            17 => const { table!["transfer-encoding" => TransferEncoding, "x-forwarded-proto" => XForwardedProto] },
            _ => return Name::Other,
        };
        let (begin, end) = match (name.first_chunk::<8>(), name.last_chunk::<8>()) {
            (Some(begin), Some(end)) => (u64::from_le_bytes(*begin), u64::from_le_bytes(*end)),
            _ => {
                let mut word = 0;
                for byte in name.iter().rev() {
                    word = word << 8 | u64::from(*byte);
                }
                (word, word)
            }
        };
        for known in candidates {
            // What differs, but for the case of letters.
            let differs = (begin ^ known.begin) & !known.begin_case | (end ^ known.end) & !known.end_case;
            if differs == 0
                && name.get(8).is_none_or(|ninth| name.len() < 17 || ninth | known.ninth_case == known.ninth)
            {
                return known.name;
            }
        }
        Name::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: &[(&str, Name)] = &[
        ("te", Name::Te),
        ("via", Name::Via),
        ("host", Name::Host),
        ("date", Name::Date),
        ("cookie", Name::Cookie),
        ("accept", Name::Accept),
        ("expect", Name::Expect),
        ("trailer", Name::Trailer),
        ("upgrade", Name::Upgrade),
        ("location", Name::Location),
        ("forwarded", Name::Forwarded),
        ("connection", Name::Connection),
        ("set-cookie", Name::SetCookie),
        ("soapaction", Name::SoapAction),
        ("keep-alive", Name::KeepAlive),
        ("content-type", Name::ContentType),
        ("x-request-id", Name::XRequestId),
        ("authorization", Name::Authorization),
        ("content-length", Name::ContentLength),
        ("http2-settings", Name::Http2Settings),
        ("x-forwarded-for", Name::XForwardedFor),
        ("accept-encoding", Name::AcceptEncoding),
        ("content-encoding", Name::ContentEncoding),
        ("x-forwarded-host", Name::XForwardedHost),
        ("x-forwarded-port", Name::XForwardedPort),
        ("proxy-connection", Name::ProxyConnection),
        ("www-authenticate", Name::WwwAuthenticate),
        ("transfer-encoding", Name::TransferEncoding),
        ("x-forwarded-proto", Name::XForwardedProto),
    ];

    #[test]
    fn every_name_is_known_in_any_case_and_nothing_else_is() {
        let expect = |other: &[u8]| {
            let expected = ALL.iter().find(|(text, _)| other.eq_ignore_ascii_case(text.as_bytes()));
            assert_eq!(Name::of(other), expected.map_or(Name::Other, |(_, name)| *name), "{other:?}");
        };
        for (text, name) in ALL {
            let capitals = text.to_ascii_uppercase();
            assert_eq!((Name::of(text.as_bytes()), Name::of(capitals.as_bytes())), (*name, *name), "{text}");
            for at in 0..text.len() {
                for byte in 0..=255u8 {
                    let mut other = text.as_bytes().to_vec();
                    other[at] = byte;
                    expect(&other);
                }
                expect(&text.as_bytes()[..at]);
            }
        }
        assert_eq!(Name::of(b""), Name::Other);
        assert_eq!(Name::of(&[b'a'; 300]), Name::Other);
    }
}
