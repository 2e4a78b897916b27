//! The PROXY protocol, versions 1 and 2: who the client is, as said by a load balancer in front.
//!
//! Follows `doc/proxy-protocol.txt` of HAProxy. Pure: bytes in, values out. A listener either requires the header or
//! does not know it; guessing would let any client invent its address (§2 there).

use std::net::{IpAddr, SocketAddr};

/// What the load balancer says about the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProxyHeader {
    /// Client and destination of the connection that the load balancer accepted. `None`: `LOCAL`, `UNKNOWN` or an
    /// address family without IP addresses; the connection's own addresses hold then.
    pub addresses: Option<Addresses>,
}

/// The two ends of the connection that the load balancer accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// The client.
    pub source: SocketAddr,
    /// Where the client connected to.
    pub destination: SocketAddr,
}

/// Why the begin of a connection is no PROXY header. The connection is closed without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Neither signature.
    #[error("no PROXY protocol header")]
    Signature,
    /// A malformed line of version 1, or one longer than 107 bytes.
    #[error("malformed PROXY protocol line")]
    Line,
    /// A malformed header of version 2.
    #[error("malformed PROXY protocol header")]
    Binary,
    /// A header of version 2 beyond [`HEADER_BYTES_MAX`].
    #[error("PROXY protocol header too large")]
    TooLarge,
}

/// Largest header: 16 bytes, addresses and extensions. The protocol allows 64 KiB; real ones stay far below 1 KiB, even with
/// a certificate's subject in them.
pub const HEADER_BYTES_MAX: usize = 4096;

/// Begin of version 1.
const V1: &[u8] = b"PROXY";
/// Begin of version 2: bytes that no text protocol starts with.
const V2: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// The longest line of version 1, CRLF included (§2.1).
const LINE_BYTES_MAX: usize = 107;

/// Reads the header from the begin of a connection.
///
/// `None`: it is not whole yet. `Some((n, header))`: what the client sent begins at `buf[n]`.
///
/// Extensions (TLVs) of version 2 are passed over, a checksum among them: what lies between the load balancer and here
/// checks its packets already.
///
/// # Errors
///
/// As soon as the bytes cannot become a header.
pub fn parse(buf: &[u8]) -> Result<Option<(usize, ProxyHeader)>, Error> {
    if begins(buf, V2) {
        binary(buf)
    } else if begins(buf, V1) {
        line(buf)
    } else {
        Err(Error::Signature)
    }
}

/// Whether `buf` begins with `signature` as far as it goes.
fn begins(buf: &[u8], signature: &[u8]) -> bool {
    let length = buf.len().min(signature.len());
    buf[..length] == signature[..length]
}

/// Version 1: `PROXY TCP4 source destination port port CRLF`.
fn line(buf: &[u8]) -> Result<Option<(usize, ProxyHeader)>, Error> {
    let reach = buf.len().min(LINE_BYTES_MAX);
    let Some(end) = memchr::memchr(b'\n', &buf[..reach]) else {
        return if reach == LINE_BYTES_MAX { Err(Error::Line) } else { Ok(None) };
    };
    let text = buf[..end].strip_suffix(b"\r").and_then(|text| std::str::from_utf8(text).ok()).ok_or(Error::Line)?;
    let mut parts = text.split(' ');
    let (_, family) = (parts.next(), parts.next());
    let addresses = match (text, family) {
        ("PROXY", _) => return Err(Error::Line),
        // What follows UNKNOWN is to be ignored (§2.1).
        (_, Some("UNKNOWN")) if text.starts_with("PROXY ") => None,
        (_, Some(family @ ("TCP4" | "TCP6"))) if text.starts_with("PROXY ") => {
            let (source, destination) = (address(family, parts.next())?, address(family, parts.next())?);
            let (source_port, destination_port) = (port(parts.next())?, port(parts.next())?);
            if parts.next().is_some() {
                return Err(Error::Line);
            }
            Some(Addresses {
                source: SocketAddr::new(source, source_port),
                destination: SocketAddr::new(destination, destination_port),
            })
        }
        _ => return Err(Error::Line),
    };
    Ok(Some((end + 1, ProxyHeader { addresses })))
}

fn address(family: &str, text: Option<&str>) -> Result<IpAddr, Error> {
    let address: IpAddr = text.and_then(|text| text.parse().ok()).ok_or(Error::Line)?;
    if address.is_ipv4() == (family == "TCP4") { Ok(address) } else { Err(Error::Line) }
}

fn port(text: Option<&str>) -> Result<u16, Error> {
    let text = text.ok_or(Error::Line)?;
    let is_canonical = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if is_canonical { text.parse().map_err(|_| Error::Line) } else { Err(Error::Line) }
}

/// Version 2: signature, version and command, family, length, addresses, extensions (§2.2).
fn binary(buf: &[u8]) -> Result<Option<(usize, ProxyHeader)>, Error> {
    if let Some(version_command) = buf.get(12)
        && !matches!(version_command, 0x20 | 0x21)
    {
        return Err(Error::Binary);
    }
    let Some([version_command, family, high, low]) = buf.get(12..16) else { return Ok(None) };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    if 16 + length > HEADER_BYTES_MAX {
        return Err(Error::TooLarge);
    }
    let Some(payload) = buf.get(16..16 + length) else { return Ok(None) };
    let addresses = match (version_command, family >> 4) {
        // LOCAL: a health check of the load balancer itself.
        (0x20, _) => None,
        (_, 1) => Some(pair::<4>(payload)?),
        (_, 2) => Some(pair::<16>(payload)?),
        // Unspecified and UNIX sockets; other families are reserved and must be accepted as unspecified.
        _ => None,
    };
    Ok(Some((16 + length, ProxyHeader { addresses })))
}

/// Source, destination and their ports, with addresses of `N` bytes.
fn pair<const N: usize>(payload: &[u8]) -> Result<Addresses, Error>
where
    IpAddr: From<[u8; N]>,
{
    let (source, rest) = payload.split_first_chunk::<N>().ok_or(Error::Binary)?;
    let (destination, rest) = rest.split_first_chunk::<N>().ok_or(Error::Binary)?;
    let [a, b, c, d, ..] = rest else { return Err(Error::Binary) };
    Ok(Addresses {
        source: SocketAddr::new(IpAddr::from(*source), u16::from_be_bytes([*a, *b])),
        destination: SocketAddr::new(IpAddr::from(*destination), u16::from_be_bytes([*c, *d])),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parses at every cut, and says what the whole gives.
    fn read(header: &[u8]) -> Result<String, Error> {
        let mut whole = header.to_vec();
        whole.extend_from_slice(b"GET / HTTP/1.1\r\n");
        let result = parse(&whole);
        for cut in 0..header.len() {
            match parse(&header[..cut]) {
                Ok(None) => {}
                other => assert_eq!(other, result, "cut at {cut}"),
            }
        }
        let (length, parsed) = result?.expect("whole");
        assert_eq!(length, header.len());
        Ok(match parsed.addresses {
            Some(addresses) => format!("{} {}", addresses.source, addresses.destination),
            None => "none".to_owned(),
        })
    }

    fn binary_header(version_command: u8, family: u8, payload: &[u8]) -> Vec<u8> {
        let length = u16::try_from(payload.len()).expect("a test's payload is small");
        [&V2[..], &[version_command, family], &length.to_be_bytes(), payload].concat()
    }

    #[test]
    fn the_line_of_version_1_names_the_client() {
        for (line, expected) in [
            ("PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n", "192.168.0.1:56324 192.168.0.11:443"),
            ("PROXY TCP6 2001:db8::1 ::1 1 65535\r\n", "[2001:db8::1]:1 [::1]:65535"),
            ("PROXY UNKNOWN\r\n", "none"),
            ("PROXY UNKNOWN ffff::1 what ever\r\n", "none"),
        ] {
            assert_eq!(read(line.as_bytes()).as_deref(), Ok(expected), "{line}");
        }
    }

    #[test]
    fn other_lines_are_refused() {
        for line in [
            "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\n",
            "PROXY TCP4 192.168.0.1 192.168.0.11 56324\r\n",
            "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443 1\r\n",
            "PROXY TCP4 ::1 ::1 1 2\r\n",
            "PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n",
            "PROXY TCP4 192.168.0.1  192.168.0.11 56324 443\r\n",
            "PROXY TCP4 192.168.0.1 192.168.0.11 056324 443\r\n",
            "PROXY TCP4 192.168.0.1 192.168.0.11 65536 443\r\n",
            "PROXY TCP4 192.168.0.1 192.168.0.11 +1 443\r\n",
            "PROXY TCP4 192.168.000.1 192.168.0.11 1 443\r\n",
            "PROXY UDP4 192.168.0.1 192.168.0.11 1 443\r\n",
            "PROXYTCP4 1.2.3.4 1.2.3.4 1 2\r\n",
            "PROXY\r\n",
            "PROXY \r\n",
        ] {
            assert_eq!(read(line.as_bytes()), Err(Error::Line), "{line}");
        }
        assert_eq!(parse(&[b"PROXY UNKNOWN ", &[b'x'; 100][..]].concat()), Err(Error::Line));
        for text in ["GET / HTTP/1.1\r\n", "proxy TCP4", "\r\n\r\nGET", "\r\r"] {
            assert_eq!(parse(text.as_bytes()), Err(Error::Signature), "{text:?}");
        }
    }

    #[test]
    fn the_header_of_version_2_names_the_client() {
        let ipv4 = [10, 0, 0, 1, 10, 0, 0, 2, 0x1F, 0x90, 0x01, 0xBB];
        let mut ipv6 = [0; 36];
        ipv6[15] = 1;
        ipv6[31] = 2;
        let with_extension = [&ipv4[..], &[0x03, 0, 4, 1, 2, 3, 4]].concat();
        for (header, expected) in [
            (binary_header(0x21, 0x11, &ipv4), "10.0.0.1:8080 10.0.0.2:443"),
            (binary_header(0x21, 0x11, &with_extension), "10.0.0.1:8080 10.0.0.2:443"),
            (binary_header(0x21, 0x21, &ipv6), "[::1]:0 [::2]:0"),
            (binary_header(0x21, 0x31, &[b'/'; 216]), "none"),
            (binary_header(0x21, 0x00, b""), "none"),
            (binary_header(0x20, 0x11, &ipv4), "none"),
            (binary_header(0x20, 0x00, b""), "none"),
        ] {
            assert_eq!(read(&header).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn broken_headers_of_version_2_are_refused() {
        assert_eq!(read(&binary_header(0x21, 0x11, &[0; 11])), Err(Error::Binary));
        assert_eq!(read(&binary_header(0x21, 0x21, &[0; 35])), Err(Error::Binary));
        assert_eq!(read(&binary_header(0x11, 0x11, &[0; 12])), Err(Error::Binary));
        assert_eq!(read(&binary_header(0x22, 0x11, &[0; 12])), Err(Error::Binary));
        assert_eq!(read(&binary_header(0x21, 0x11, &[0; 5000])), Err(Error::TooLarge));
    }
}
