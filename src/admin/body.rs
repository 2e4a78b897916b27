//! The body of an admin request.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http_body::Body;
use hyper::body::Incoming;

/// Bytes at most: the outlook of some ten thousand nodes.
const BYTES_MAX: usize = 1 << 20;
/// For all of it.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Reads a body whole.
///
/// # Errors
/// The status to answer with: it is too large, too slow, or breaks off.
pub async fn read(body: Incoming) -> Result<Bytes, StatusCode> {
    tokio::time::timeout(TIMEOUT, collect(body)).await.unwrap_or(Err(StatusCode::REQUEST_TIMEOUT))
}

async fn collect(mut body: Incoming) -> Result<Bytes, StatusCode> {
    let mut bytes = Vec::new();
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let Ok(data) = frame.map_err(|_| StatusCode::BAD_REQUEST)?.into_data() else { continue };
        if bytes.len() + data.len() > BYTES_MAX {
            return Err(StatusCode::PAYLOAD_TOO_LARGE);
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes.into())
}
