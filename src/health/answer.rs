//! An HTTP/1.1 answer to a probe: pure, bounded, and no stricter than it must be.

/// Why bytes are no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    #[error("the answer is not HTTP")]
    NotHttp,
    #[error("the answer is cut off")]
    CutOff,
    #[error("the answer is too long")]
    TooLong,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub content_type: Option<Vec<u8>>,
    pub content_encoding: Option<Vec<u8>>,
    /// Names and values of all fields.
    pub fields: Vec<(Vec<u8>, Vec<u8>)>,
    /// Chunks undone; empty where only the head was asked for.
    pub body: Vec<u8>,
}

/// Field lines of an answer's head. More than that is no node's answer to a probe.
const FIELDS_MAX: usize = 100;

/// Reads what has come so far. `None`: more must come. `ended`: nothing more will. `head_only`: the body is not waited for.
pub fn parse(mut bytes: &[u8], ended: bool, head_only: bool) -> Result<Option<Answer>, Broken> {
    let more = if ended { Err(Broken::CutOff) } else { Ok(None) };
    loop {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let mut head = httparse::Response::new(&mut fields);
        let length = match head.parse(bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return more,
            Err(_) => return Err(Broken::NotHttp),
        };
        let status = head.code.ok_or(Broken::NotHttp)?;
        let rest = &bytes[length..];
        if (100..200).contains(&status) {
            bytes = rest;
            continue;
        }
        let field =
            |name: &str| head.headers.iter().find(|one| one.name.eq_ignore_ascii_case(name)).map(|one| one.value);
        let chunked = field("transfer-encoding").is_some_and(|value| value.to_ascii_lowercase().ends_with(b"chunked"));
        let body = if head_only || matches!(status, 204 | 304) {
            Some(Vec::new())
        } else if chunked {
            unchunk(rest)?
        } else if let Some(length) = field("content-length") {
            let length: usize =
                std::str::from_utf8(length).ok().and_then(|text| text.trim().parse().ok()).ok_or(Broken::NotHttp)?;
            rest.get(..length).map(<[u8]>::to_vec)
        } else {
            ended.then(|| rest.to_vec())
        };
        let Some(body) = body else { return more };
        let owned = |name| field(name).map(<[u8]>::to_vec);
        return Ok(Some(Answer {
            status,
            content_type: owned("content-type"),
            content_encoding: owned("content-encoding"),
            fields: head.headers.iter().map(|one| (one.name.as_bytes().to_vec(), one.value.to_vec())).collect(),
            body,
        }));
    }
}

/// The content of chunks; `None` where the last one has not come.
fn unchunk(mut bytes: &[u8]) -> Result<Option<Vec<u8>>, Broken> {
    let mut body = Vec::new();
    loop {
        let (start, size) = match httparse::parse_chunk_size(bytes) {
            Ok(httparse::Status::Complete(found)) => found,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err(Broken::NotHttp),
        };
        if size == 0 {
            return Ok(Some(body));
        }
        let size = usize::try_from(size).map_err(|_| Broken::TooLong)?;
        let Some(end) = start.checked_add(size).filter(|end| end + 2 <= bytes.len()) else { return Ok(None) };
        body.extend_from_slice(&bytes[start..end]);
        bytes = bytes[end..].strip_prefix(b"\r\n").ok_or(Broken::NotHttp)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &str, ended: bool, expected: Result<Option<(u16, &str)>, Broken>) {
        let found = parse(bytes.as_bytes(), ended, false);
        let found = found.map(|some| some.map(|one| (one.status, String::from_utf8(one.body).expect("text"))));
        assert_eq!(found, expected.map(|some| some.map(|(status, body)| (status, body.to_owned()))), "{bytes}");
    }

    #[test]
    fn bodies_end_where_the_head_says() {
        check("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiX", false, Ok(Some((200, "hi"))));
        check("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi", false, Ok(None));
        check("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi", true, Err(Broken::CutOff));
        check("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nhi", true, Err(Broken::NotHttp));
        check("HTTP/1.0 200 OK\r\n\r\nhi", false, Ok(None));
        check("HTTP/1.0 200 OK\r\n\r\nhi", true, Ok(Some((200, "hi"))));
        check("HTTP/1.1 204 Nothing\r\n\r\n", false, Ok(Some((204, ""))));
    }

    #[test]
    fn chunks_are_undone() {
        let head = "HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n";
        check(&format!("{head}2\r\nhi\r\n1;x=y\r\n!\r\n0\r\n\r\n"), false, Ok(Some((500, "hi!"))));
        check(&format!("{head}2\r\nhi\r\n"), false, Ok(None));
        check(&format!("{head}2\r\nhi\r\n"), true, Err(Broken::CutOff));
        check(&format!("{head}ffffffffffffffff\r\nhi\r\n"), true, Err(Broken::CutOff));
        check(&format!("{head}2\r\nhixx0\r\n\r\n"), true, Err(Broken::NotHttp));
    }

    #[test]
    fn what_stands_before_the_answer_is_passed_over_and_garbage_is_none() {
        check("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false, Ok(Some((200, ""))));
        check("HTTP/1.1 100 Continue\r\n\r\n", true, Err(Broken::CutOff));
        check("SSH-2.0-OpenSSH_9.6\r\n", false, Err(Broken::NotHttp));
        check("", false, Ok(None));
        check("", true, Err(Broken::CutOff));
    }

    #[test]
    fn where_the_status_is_enough_the_body_is_not_waited_for() {
        let answer = parse(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n<", false, true).expect("an answer");
        assert_eq!(answer.map(|answer| answer.status), Some(200));
    }
}
