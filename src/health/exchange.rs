//! One probe on a connection of its own.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::Failed;
use super::answer::{self, Answer, Broken};
use super::plan::Watch;
use crate::config::model::Probe;

/// Bytes of an answer that are read at most: a Fault with a long stack trace is far shorter, a WSDL is not read.
const ANSWER_MAX: usize = 1 << 20;

/// Asks once. The caller sets the time.
pub async fn probe(watch: &Watch) -> Result<(), Failed> {
    let tcp = connect(&watch.url.host, watch.url.port).await?;
    tcp.set_nodelay(true)?;
    match &watch.tls {
        None => ask(tcp, watch).await,
        Some((name, config)) => {
            let stream = TlsConnector::from(config.clone()).connect(name.clone(), tcp).await?;
            ask(stream, watch).await
        }
    }
}

async fn connect(host: &str, port: u16) -> Result<TcpStream, Failed> {
    let address = tokio::net::lookup_host((host, port)).await?.next().ok_or(Failed::NoAddress)?;
    Ok(TcpStream::connect(address).await?)
}

async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin, watch: &Watch) -> Result<(), Failed> {
    let (request, head_only) = match (&watch.check.probe, &watch.soap) {
        (Probe::Tcp, _) => return Ok(()),
        (Probe::Get(path), _) => (format!("GET {path} HTTP/1.1\r\n{}\r\n", common(watch)).into_bytes(), true),
        (Probe::Soap { path, .. }, soap) => {
            let Some(soap) = soap else { return Ok(()) };
            let mut request = format!(
                "POST {path} HTTP/1.1\r\n{}{}Content-Length: {}\r\n\r\n",
                common(watch),
                soap.fields,
                soap.envelope.len()
            )
            .into_bytes();
            request.extend_from_slice(&soap.envelope);
            (request, false)
        }
    };
    stream.write_all(&request).await?;
    stream.flush().await?;
    let answer = read(&mut stream, head_only).await?;
    match &watch.soap {
        None if (200..400).contains(&answer.status) => Ok(()),
        None => Err(Failed::Status(answer.status)),
        Some(expected) => expected.judge(&answer),
    }
}

fn common(watch: &Watch) -> String {
    let version = env!("CARGO_PKG_VERSION");
    format!(
        "Host: {}\r\nUser-Agent: castile/{version} (health check)\r\nAccept: */*\r\nConnection: close\r\n",
        watch.host
    )
}

async fn read(stream: &mut (impl AsyncRead + Unpin), head_only: bool) -> Result<Answer, Failed> {
    let mut bytes = Vec::with_capacity(4096);
    loop {
        let ended = stream.read_buf(&mut bytes).await? == 0;
        if let Some(answer) = answer::parse(&bytes, ended, head_only)? {
            return Ok(answer);
        }
        if bytes.len() > ANSWER_MAX {
            return Err(Broken::TooLong.into());
        }
    }
}
