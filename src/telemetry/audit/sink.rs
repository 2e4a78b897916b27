//! Where audit records are written on this machine.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::record::Record;

/// Where records are written. Blocks; it has a thread of its own.
pub trait Sink: Send {
    /// Writes a record, or nothing that could be taken for one.
    ///
    /// # Errors
    /// It is not written, and is to be tried again.
    fn write(&mut self, record: &Record) -> io::Result<()>;

    /// Begins the file anew.
    ///
    /// # Errors
    /// The old one is kept.
    fn reopen(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// What there is to do while nothing is written.
    ///
    /// # Errors
    /// The next record is not likely to be written either.
    fn tend(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Standard output.
pub struct Stdout;

impl Sink for Stdout {
    fn write(&mut self, record: &Record) -> io::Result<()> {
        let mut out = io::stdout().lock();
        writeln!(out, "{}", record.json)?;
        out.flush()
    }
}

/// The end of a file.
pub struct FileSink {
    path: PathBuf,
    file: File,
    /// The last record was written in part: a full disk takes what it has room for.
    is_torn: bool,
}

impl FileSink {
    /// Opens it; readable by its owner alone where it is made.
    ///
    /// # Errors
    /// It cannot be opened for writing.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), file: append(path)?, is_torn: false })
    }
}

fn append(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

impl Sink for FileSink {
    fn write(&mut self, record: &Record) -> io::Result<()> {
        let line = format!("{}{}\n", if self.is_torn { "\n" } else { "" }, record.json);
        let mut left = line.as_bytes();
        while !left.is_empty() {
            match self.file.write(left) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.is_torn = true;
                    left = &left[count..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.is_torn = false;
        // Pipes and devices have nothing to be kept.
        let _ = self.file.sync_data();
        Ok(())
    }

    fn reopen(&mut self) -> io::Result<()> {
        self.file = append(&self.path)?;
        self.is_torn = false;
        Ok(())
    }
}
