//! Captured exchanges as `.http` files without ids, secrets and texts.

use std::io::Read;

use super::mask::{How, Masks};
use super::xml::{self, HIDDEN};
use crate::gateway::capture::{Body, Captured};
use crate::gateway::reading;
use crate::head::{Fields, Name, Request, Response, Version};
use crate::session::{RequestView, ResponseView};
use crate::soap::{self, Reader};

/// Bytes of a body after decompression.
const INFLATED_MAX: u64 = 4 << 20;
/// Says what was done to a body beyond masking it.
const NOTE: &[u8] = b"X-Castile-Capture";
/// Fields whose words say nothing about anybody; ids are taken out of them, too.
const LEGIBLE: [&str; 24] = [
    "host",
    "content-type",
    "connection",
    "accept",
    "accept-encoding",
    "accept-charset",
    "accept-language",
    "user-agent",
    "soapaction",
    "date",
    "server",
    "expect",
    "vary",
    "cache-control",
    "pragma",
    "expires",
    "allow",
    "retry-after",
    "via",
    "mime-version",
    "keep-alive",
    "x-powered-by",
    "last-modified",
    "age",
];
/// What stands behind the name of a cookie and is no part of its value.
const COOKIE_ATTRIBUTES: [&[u8]; 8] =
    [b"path", b"domain", b"expires", b"max-age", b"samesite", b"version", b"comment", b"priority"];

/// A pair of `.http` files.
#[derive(Debug)]
pub struct Pair {
    /// The request.
    pub request: Vec<u8>,
    /// The response; `None` = the client got none.
    pub response: Option<Vec<u8>>,
}

/// Masks an exchange. `with_bodies`: of bodies only ids, passwords and tokens.
pub fn redact(captured: &Captured, with_bodies: bool, masks: &mut Masks) -> Pair {
    learn(captured, masks);
    let how = if with_bodies { How::Ids } else { How::All };
    let mut request = Request::new();
    let target = target(captured.request.target(), masks);
    request.start(Version::Http11, captured.request.method(), &target);
    let body = body(&captured.request_body, captured.request.fields(), how, masks);
    let framed = fields(captured.request.fields(), request.fields_mut(), body, masks);
    let mut file = [request.method(), b" ", request.target(), b" HTTP/1.1\r\n"].concat();
    request.fields().write(&mut file);
    file.extend_from_slice(b"\r\n");
    file.extend_from_slice(&framed);
    let response = captured.response.as_ref().map(|head| {
        let mut response = Response::new();
        let mut reason = Vec::new();
        masks.text(head.reason(), How::Numbers, &mut reason);
        response.start(Version::Http11, head.status, &reason);
        let body = self::body(&captured.response_body, head.fields(), how, masks);
        let framed = fields(head.fields(), response.fields_mut(), body, masks);
        let mut file = format!("HTTP/1.1 {} ", head.status).into_bytes();
        file.extend_from_slice(&reason);
        file.extend_from_slice(b"\r\n");
        response.fields().write(&mut file);
        file.extend_from_slice(b"\r\n");
        file.extend_from_slice(&framed);
        file
    });
    Pair { request: file, response }
}

/// Whatever a rule takes for an id is one, wherever it stands.
fn learn(captured: &Captured, masks: &mut Masks) {
    let Some(upstream) = &captured.upstream else { return };
    for node in &upstream.config.nodes {
        node.route.iter().for_each(|tag| masks.keep(tag.as_bytes()));
    }
    let rules = &upstream.rules;
    let inspect = captured.snapshot.inspect;
    let read = |wanted: &std::sync::Arc<soap::Wanted>, fields: &Fields, body: &[u8]| {
        let mut reader = reading::reader(wanted, fields, inspect);
        reader.push(body);
        reader.end();
        reader
    };
    let head = captured.request.fields();
    let http_action = soap::operation::http_action(head.known(Name::ContentType), head.known(Name::SoapAction));
    let asked = read(rules.request_wanted(), head, &captured.request_body.bytes);
    let request = RequestView {
        head: &captured.request,
        facts: Some(Reader::facts(&asked)),
        http_action: http_action.as_deref(),
        client_ip: captured.client_ip,
        connection: 0,
    };
    rules.hits(&request, &mut |hit| masks.is_id(&hit.value));
    let Some(head) = &captured.response else { return };
    let told = read(rules.response_wanted(), head.fields(), &captured.response_body.bytes);
    let response = ResponseView { head, facts: Some(Reader::facts(&told)), now_unix: 0 };
    rules.hits_in_response_head(&request, &response, &mut |hit| masks.is_id(&hit.value));
    rules.hits_in_response_message(&request, &response, 0, &mut |hit| masks.is_id(&hit.value));
}

/// Path with its parameters, and query: names stay, values do not.
fn target(target: &[u8], masks: &mut Masks) -> Vec<u8> {
    let mut out = Vec::with_capacity(target.len());
    let (path, query) = match memchr::memchr(b'?', target) {
        Some(at) => (&target[..at], Some(&target[at..])),
        None => (target, None),
    };
    for (index, segment) in path.split(|byte| *byte == b'/').enumerate() {
        if index > 0 {
            out.push(b'/');
        }
        let end = segment.iter().position(|byte| b";(".contains(byte)).unwrap_or(segment.len());
        masks.text(&segment[..end], How::Ids, &mut out);
        parameters(&segment[end..], masks, &mut out);
    }
    if let Some(query) = query {
        parameters(query, masks, &mut out);
    }
    out
}

/// Masks what stands behind `=` or within brackets, as in `;jsessionid=..`, `?a=..&b=..`, `(S(..))`.
fn parameters(text: &[u8], masks: &mut Masks, out: &mut Vec<u8>) {
    let mut depth = 0usize;
    for part in text.split_inclusive(|byte| b";&?()".contains(byte)) {
        let is_end = part.last().is_some_and(|byte| b";&?()".contains(byte));
        let (part, end) = part.split_at(part.len() - usize::from(is_end));
        let value = memchr::memchr(b'=', part).map_or(part.len(), |equals| equals + 1);
        // `S` before its bracket is a name.
        let is_name = depth == 0 || end == b"(";
        masks.text(&part[..value], if is_name { How::Ids } else { How::All }, out);
        masks.text(&part[value..], How::All, out);
        out.extend_from_slice(end);
        match end {
            b"(" => depth += 1,
            b")" => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
}

/// Fills in the masked fields, and gives the body in the framing they tell.
fn fields(from: &Fields, to: &mut Fields, body: Masked, masks: &mut Masks) -> Vec<u8> {
    let mut is_framed = false;
    let mut is_chunked = false;
    for field in from.iter() {
        let mut value = Vec::new();
        let small = String::from_utf8_lossy(field.name).to_ascii_lowercase();
        match small.as_str() {
            "content-length" if !body.bytes.is_empty() => {
                is_framed = true;
                value.extend_from_slice(body.bytes.len().to_string().as_bytes());
            }
            "content-length" | "transfer-encoding" if is_framed => continue,
            "transfer-encoding" => {
                (is_framed, is_chunked) = (true, true);
                value.extend_from_slice(b"chunked");
            }
            "content-encoding" if body.is_plain => continue,
            "content-length" | "content-encoding" => value.extend_from_slice(field.value),
            "cookie" => cookies(field.value, masks, &mut value),
            "set-cookie" => set_cookie(field.value, masks, &mut value),
            "location" | "content-location" | "referer" => value = target(field.value, masks),
            "authorization"
            | "proxy-authorization"
            | "www-authenticate"
            | "proxy-authenticate"
            | "authentication-info" => {
                let scheme = field.value.split(|byte| *byte == b' ').next().unwrap_or_default();
                value.extend_from_slice(scheme);
                if scheme.len() < field.value.len() {
                    value.push(b' ');
                    value.extend_from_slice(HIDDEN);
                }
            }
            name if ["token", "secret", "passw", "api-key", "apikey", "client-cert"]
                .iter()
                .any(|part| name.contains(part)) =>
            {
                value.extend_from_slice(HIDDEN);
            }
            name if LEGIBLE.contains(&name) => masks.text(field.value, How::Ids, &mut value),
            _ => masks.text(field.value, How::All, &mut value),
        }
        to.push(field.name, &value);
    }
    if let Some(note) = body.note {
        to.push(NOTE, note.as_bytes());
    }
    if !is_framed && !body.bytes.is_empty() {
        to.push(b"Content-Length", body.bytes.len().to_string().as_bytes());
    }
    if !is_chunked {
        return body.bytes;
    }
    let mut framed = Vec::with_capacity(body.bytes.len() + 32);
    if !body.bytes.is_empty() {
        framed.extend_from_slice(format!("{:x}\r\n", body.bytes.len()).as_bytes());
        framed.extend_from_slice(&body.bytes);
        framed.extend_from_slice(b"\r\n");
    }
    framed.extend_from_slice(b"0\r\n\r\n");
    framed
}

fn cookies(line: &[u8], masks: &mut Masks, out: &mut Vec<u8>) {
    for (index, pair) in line.split(|byte| *byte == b';').enumerate() {
        if index > 0 {
            out.push(b';');
        }
        let value = memchr::memchr(b'=', pair).map_or(0, |equals| equals + 1);
        out.extend_from_slice(&pair[..value]);
        masks.text(&pair[value..], How::All, out);
    }
}

fn set_cookie(line: &[u8], masks: &mut Masks, out: &mut Vec<u8>) {
    for (index, part) in line.split(|byte| *byte == b';').enumerate() {
        if index == 0 {
            cookies(part, masks, out);
            continue;
        }
        out.push(b';');
        let name = part.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii().to_ascii_lowercase();
        let is_attribute = COOKIE_ATTRIBUTES.contains(&name.as_slice()) || name.len() == part.trim_ascii().len();
        masks.text(part, if is_attribute { How::Ids } else { How::All }, out);
    }
}

/// A body that may leave.
struct Masked {
    bytes: Vec<u8>,
    note: Option<&'static str>,
    /// Whether a content coding was taken off.
    is_plain: bool,
}

fn body(body: &Body, fields: &Fields, how: How, masks: &mut Masks) -> Masked {
    let removed = |why| Masked { bytes: Vec::new(), note: Some(why), is_plain: true };
    if body.bytes.is_empty() {
        return Masked { bytes: Vec::new(), note: None, is_plain: false };
    }
    let coding = fields.known(Name::ContentEncoding).unwrap_or_default().trim_ascii().to_ascii_lowercase();
    let plain = match coding.as_slice() {
        b"" | b"identity" => body.bytes.clone(),
        b"gzip" | b"x-gzip" => inflated(flate2::read::MultiGzDecoder::new(body.bytes.as_slice())),
        b"deflate" => inflated(flate2::read::ZlibDecoder::new(body.bytes.as_slice())),
        _ => return removed("body removed: unknown coding"),
    };
    let note = body.is_cut.then_some("body cut");
    let media = fields.known(Name::ContentType).unwrap_or_default();
    let masked = match () {
        () if plain.contains(&0) || plain.starts_with(b"\xfe\xff") || plain.starts_with(b"\xff\xfe") => None,
        () if is_xml(media) => envelope(&plain, how, masks),
        () if media.to_ascii_lowercase().starts_with(b"multipart/") => {
            Some(multipart(&plain, media, how, masks)).flatten()
        }
        () => None,
    };
    match masked {
        Some(bytes) => Masked { bytes, note, is_plain: !coding.is_empty() },
        None => removed("body removed: no XML that can be masked"),
    }
}

fn inflated(decoder: impl Read) -> Vec<u8> {
    let mut out = Vec::new();
    // What a cut body still gives is enough.
    let _ = decoder.take(INFLATED_MAX).read_to_end(&mut out);
    out
}

fn is_xml(media: &[u8]) -> bool {
    let media = media.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii().to_ascii_lowercase();
    media.ends_with(b"/xml") || media.ends_with(b"+xml")
}

fn envelope(plain: &[u8], how: How, masks: &mut Masks) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(plain.len());
    xml::mask(plain, how, masks, &mut out).then_some(out)
}

/// Parts that hold XML are masked, others emptied.
fn multipart(plain: &[u8], media: &[u8], how: How, masks: &mut Masks) -> Option<Vec<u8>> {
    let small = media.to_ascii_lowercase();
    let at = memchr::memmem::find(&small, b"boundary=")? + 9;
    let rest = &media[at..];
    let boundary = match rest.strip_prefix(b"\"") {
        Some(quoted) => quoted.split(|byte| *byte == b'"').next()?,
        None => rest.split(|byte| b"; ".contains(byte)).next()?,
    };
    let delimiter = [b"--", boundary].concat();
    if boundary.is_empty() {
        return None;
    }
    let mut out = Vec::with_capacity(plain.len());
    let mut marks = memchr::memmem::find_iter(plain, &delimiter).chain([plain.len()]);
    let mut from = marks.next()?;
    for to in marks {
        let part = &plain[from + delimiter.len()..to.max(from + delimiter.len())];
        out.extend_from_slice(&delimiter);
        let Some(head) = memchr::memmem::find(part, b"\r\n\r\n").map(|at| at + 4) else {
            out.extend_from_slice(if part.starts_with(b"--") { b"--\r\n" } else { b"\r\n" });
            from = to;
            continue;
        };
        masks.text(&part[..head], How::Ids, &mut out);
        let fields = part[..head].to_ascii_lowercase();
        let holds_xml = memchr::memmem::find(&fields, b"xml").is_some();
        match holds_xml
            .then(|| envelope(part[head..].strip_suffix(b"\r\n").unwrap_or(&part[head..]), how, masks))
            .flatten()
        {
            Some(masked) => out.extend_from_slice(&masked),
            None => out.extend_from_slice(HIDDEN),
        }
        out.extend_from_slice(b"\r\n");
        from = to;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_keep_their_names_and_lose_their_values() {
        let mut masks = Masks::new([3; 16]);
        for (given, begin) in [
            ("/app/x;jsessionid=SECRET-1?sid=SECRET-2&wsdl", "/app/x;jsessionid="),
            ("/(S(SECRET3))/Counter.asmx", "/(S("),
            ("/app?wsdl", "/app?wsdl"),
        ] {
            let masked = String::from_utf8(target(given.as_bytes(), &mut masks)).expect("ASCII");
            assert!(masked.starts_with(begin) && masked.len() == given.len() && !masked.contains("SECRET"), "{masked}");
            assert_eq!(masked.ends_with("wsdl"), given.ends_with("wsdl"), "{masked}");
        }
    }

    #[test]
    fn cookies_and_credentials_never_leave() {
        let mut masks = Masks::new([3; 16]);
        masks.keep(b"n1");
        let mut from = Fields::default();
        for (name, value) in [
            ("Cookie", "JSESSIONID=SECRET.n1; theme=SECRET"),
            ("Set-Cookie", "JSESSIONID=SECRET.n1; Path=/app; HttpOnly"),
            ("Authorization", "Basic SECRET"),
            ("X-Auth-Token", "SECRET"),
            ("X-Own", "SECRET"),
            ("Referer", "http://h/app;jsessionid=SECRET.n1"),
        ] {
            from.push(name.as_bytes(), value.as_bytes());
        }
        let mut to = Fields::default();
        fields(&from, &mut to, Masked { bytes: Vec::new(), note: None, is_plain: false }, &mut masks);
        let mut out = Vec::new();
        to.iter().for_each(|field| out.extend_from_slice(field.value));
        let text = String::from_utf8_lossy(&out).into_owned();
        assert!(
            !text.contains("SECRET") && text.contains("; Path=/app; HttpOnly") && text.contains("Basic redacted"),
            "{text}"
        );
        let cookie = |name: &[u8]| to.get(name).map(|value| value[11..20].to_vec());
        assert_eq!(cookie(b"cookie"), cookie(b"set-cookie"), "the same id stays the same: {text}");
    }
}
