//! Every response that we read, hyper's client reads the same.
//!
//! hyper takes more than we do (LF in a reason phrase, bare LF, `Content-Length` beside `Transfer-Encoding`); it does not show bytes
//! above 0x7F in reason phrases, which we keep.

use hyper::client::conn::http1;

use crate::hyper_server::{Content, borrowed, check_content, collect, sorted};
use crate::memory::Memory;
use crate::reading::{Lines, Side, read};

/// The final response as hyper's client got it: status, fields, body.
type Got = (u16, Lines, Option<Content>);

/// What hyper's client makes of `input` as the answer to one request.
fn ask(method: &'static str, input: &[u8]) -> Option<Got> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime without drivers");
    runtime.block_on(async {
        let memory = Memory::new(input, usize::MAX, true);
        let (mut sender, connection) =
            http1::Builder::new().max_headers(256).max_buf_size(1024 * 1024).handshake(memory).await.ok()?;
        let tasks = tokio::task::LocalSet::new();
        let connection = tasks.run_until(async move {
            let driver = tokio::task::spawn_local(connection);
            let request = http::Request::builder().method(method).uri("/").header("host", "h").body(String::new());
            let response = sender.send_request(request.expect("a valid request")).await.ok()?;
            let (head, body) = response.into_parts();
            let fields = sorted(head.headers.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes())));
            let body = collect(body).await;
            drop(driver);
            Some((head.status.as_u16(), fields, body))
        });
        connection.await
    })
}

/// Compares what both read from `input`, as far as we read a final response from it.
///
/// # Panics
///
/// Where we read a response that hyper does not, or reads in another way.
pub fn check(method: &'static str, input: &[u8]) {
    let transcript = read(Side::Responses(method), input, &[]);
    let Some(last) = transcript.messages.last().filter(|message| !message.start.starts_with(b"1")) else { return };
    let text = String::from_utf8_lossy(input);
    let Some((status, fields, body)) = ask(method, input) else { panic!("hyper refuses {text:?}") };
    assert!(last.start.starts_with(format!("{status} ").as_bytes()), "{text:?}");
    assert_eq!(without_equal_lengths(fields), sorted(borrowed(&last.fields)), "{text:?}");
    check_content(last, body.as_ref(), &text);
}

/// We keep repeated equal lengths once, hyper as often as they came.
fn without_equal_lengths(mut fields: Lines) -> Lines {
    fields.dedup_by(|left, right| left == right && left.0 == b"content-length");
    fields
}
