//! The fingerprint key beside the store: made once, 0600, and needed as long as the store is.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::file::{OpenError, StoreFile};
use crate::session::Fingerprinter;

/// The secret of the fingerprints.
pub type Secret = [u8; 16];

/// Where the key of this store lies: its name with `.key` behind it.
pub fn path(store: &Path) -> PathBuf {
    let mut name = store.as_os_str().to_owned();
    name.push(".key");
    name.into()
}

/// The secret of this store: the configured one, else the one in the file beside it, which is made if neither it nor a pin
/// is there yet.
///
/// # Errors
/// It is not the one that the pins were written with, or cannot be read or made.
pub fn secret(store: &StoreFile, configured: Option<Secret>) -> Result<Secret, OpenError> {
    let file = store.path().display().to_string();
    let beside = path(store.path());
    let damaged = |error: super::file::CommitError| OpenError::Damaged { file: file.clone(), why: error.to_string() };
    let check = store.check().map_err(damaged)?;
    let other = |key: String| OpenError::Key { file: file.clone(), key };
    let secret = match configured {
        Some(secret) => secret,
        None => match read(&beside)? {
            Some(secret) => secret,
            None if check.is_some() => return Err(other(beside.display().to_string())),
            None => make(&beside)?,
        },
    };
    let own = Fingerprinter::new(&secret).fingerprint("castile", "check", b"", b"").0.to_be_bytes();
    match check {
        Some(check) if check == own => {}
        Some(_) => {
            let key =
                if configured.is_some() { "affinity.fingerprint_key".to_owned() } else { beside.display().to_string() };
            return Err(other(key));
        }
        None => store
            .set_check(own)
            .map_err(|error| OpenError::Io { file: file.clone(), source: std::io::Error::other(error) })?,
    }
    Ok(secret)
}

/// The secret of a store for which none is configured; `None` where none was made yet.
///
/// # Errors
/// It cannot be read.
pub fn beside(store: &Path) -> Result<Option<Secret>, OpenError> {
    read(&path(store))
}

fn read(path: &Path) -> Result<Option<Secret>, OpenError> {
    let fail = |why: String| OpenError::KeyFile { file: path.display().to_string(), why };
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(fail(error.to_string())),
    };
    let mode = file.metadata().map_err(|error| fail(error.to_string()))?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(fail(format!("others may read it (mode {:o}); chmod 600 it", mode & 0o777)));
    }
    let mut text = String::new();
    // Longer than a key is none.
    (&mut file).take(100).read_to_string(&mut text).map_err(|error| fail(error.to_string()))?;
    let number = u128::from_str_radix(text.trim(), 16).ok().filter(|_| text.trim().len() == 32);
    let number =
        number.ok_or_else(|| fail("it does not hold 32 hexadecimal digits; restore it from a copy".to_owned()))?;
    Ok(Some(number.to_be_bytes()))
}

/// Makes sure that a store will be found with this secret, which a process before this one used: it is kept beside the store
/// unless it is configured.
///
/// # Errors
/// Another key lies there, or it cannot be read or made.
pub fn keep(store: &Path, secret: &Secret) -> Result<(), OpenError> {
    let beside = path(store);
    match read(&beside)? {
        Some(other) if other == *secret => Ok(()),
        Some(_) => Err(OpenError::Key { file: store.display().to_string(), key: beside.display().to_string() }),
        None => write(&beside, secret),
    }
}

fn make(path: &Path) -> Result<Secret, OpenError> {
    let fail = |why: String| OpenError::KeyFile { file: path.display().to_string(), why };
    let mut secret = Secret::default();
    getrandom::fill(&mut secret).map_err(|error| fail(format!("no random numbers: {error}")))?;
    write(path, &secret)?;
    Ok(secret)
}

fn write(path: &Path, secret: &Secret) -> Result<(), OpenError> {
    let fail = |why: String| OpenError::KeyFile { file: path.display().to_string(), why };
    let text = format!("{:032x}\n", u128::from_be_bytes(*secret));
    let written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.map_err(|error| fail(format!("it cannot be made: {error}; or set affinity.fingerprint_key")))
}
