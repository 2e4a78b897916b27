//! A proxy that does what Castile never does: it sends a request again that may have been executed. The harness must
//! notice, so it stands in one of the harness's own checks.

use std::io::{self, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};

use crate::wire::{Head, Wire};

/// Where it stands.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    #[arg(long)]
    pub listen: SocketAddr,
    #[arg(long)]
    pub to: SocketAddr,
}

pub fn run(args: &Args) -> io::Result<()> {
    std::thread::spawn(|| {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    for stream in TcpListener::bind(args.listen)?.incoming() {
        let to = args.to;
        std::thread::spawn(move || serve(Wire::new(stream?), to));
    }
    Ok(())
}

fn serve(mut client: Wire, to: SocketAddr) -> io::Result<()> {
    while let Some(head) = client.head()? {
        let body = client.body(&head)?;
        let request = message(&head, &body);
        let mut answer = ask(to, &request)?;
        if answer.0.status() >= 500 {
            answer = ask(to, &request)?;
        }
        client.send(message(&answer.0, &answer.1).as_bytes())?;
    }
    Ok(())
}

fn ask(to: SocketAddr, request: &str) -> io::Result<(Head, String)> {
    let mut wire = Wire::new(TcpStream::connect(to)?);
    wire.send(request.as_bytes())?;
    let head = wire.head()?.ok_or(io::ErrorKind::UnexpectedEof)?;
    let body = wire.body(&head)?;
    Ok((head, body))
}

fn message(head: &Head, body: &str) -> String {
    format!("{}\r\nHost: h\r\nContent-Type: text/xml\r\nContent-Length: {}\r\n\r\n{body}", head.start, body.len())
}
