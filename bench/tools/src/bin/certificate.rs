//! certificate DIR: writes the certificate and key that every candidate shows, and both in one file for HAProxy.

use std::fs;
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::args().nth(1).ok_or("certificate DIR")?;
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_string()])?;
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    fs::write(Path::new(&dir).join("cert.pem"), &certificate)?;
    fs::write(Path::new(&dir).join("key.pem"), &key)?;
    fs::write(Path::new(&dir).join("both.pem"), certificate + &key)?;
    Ok(())
}
