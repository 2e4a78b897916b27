//! The forms a single value may have: how each is read, shown, and described.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use serde_json::{Value as Json, json};

use super::model::Secret;
use super::read::nearest;
use super::show::Shown;
use super::units;

/// How a single value is read, shown, and described.
pub trait Form {
    /// What it becomes.
    type Value;
    /// The form in words, for messages: `a duration such as 30s`.
    fn what(&self) -> String;
    /// Reads the text; `folder` is where relative paths begin.
    ///
    /// # Errors
    /// The fault and the way out.
    fn parse(&self, text: &str, folder: &Path) -> Result<Self::Value, String>;
    /// As [`Form::parse`] would read it.
    fn show(&self, value: &Self::Value) -> Shown;
    /// As JSON Schema.
    fn schema(&self) -> Json;
    /// Whether this text may stand in quotes. Numbers and `true` stand without.
    fn takes_quoted(&self, _text: &str) -> bool {
        true
    }
}

/// Any text but the empty one.
#[derive(Debug, Clone, Copy)]
pub struct AnyText;

impl Form for AnyText {
    type Value = String;
    fn what(&self) -> String {
        "a text".to_owned()
    }
    fn parse(&self, text: &str, _: &Path) -> Result<String, String> {
        if text.is_empty() { Err("is empty; write a text, or remove the key".to_owned()) } else { Ok(text.to_owned()) }
    }
    fn show(&self, value: &String) -> Shown {
        Shown::Text(value.clone())
    }
    fn schema(&self) -> Json {
        json!({"type": ["string", "number"]})
    }
}

/// A text that a function checks and may change.
#[derive(Debug, Clone, Copy)]
pub struct Checked(
    /// The form in words.
    pub &'static str,
    /// Gives the text as it is kept, or the fault and the way out.
    pub fn(&str) -> Result<String, String>,
);

impl Form for Checked {
    type Value = String;
    fn what(&self) -> String {
        self.0.to_owned()
    }
    fn parse(&self, text: &str, _: &Path) -> Result<String, String> {
        self.1(text)
    }
    fn show(&self, value: &String) -> Shown {
        Shown::Text(value.clone())
    }
    fn schema(&self) -> Json {
        json!({"type": "string"})
    }
}

/// A text read by a function into something else.
pub struct Parsed<T>(
    /// The form in words.
    pub &'static str,
    /// Reads it.
    pub fn(&str) -> Result<T, String>,
    /// Shows it.
    pub fn(&T) -> String,
);

impl<T> Clone for Parsed<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Parsed<T> {}

impl<T> Form for Parsed<T> {
    type Value = T;
    fn what(&self) -> String {
        self.0.to_owned()
    }
    fn parse(&self, text: &str, _: &Path) -> Result<T, String> {
        self.1(text)
    }
    fn show(&self, value: &T) -> Shown {
        Shown::Text(self.2(value))
    }
    fn schema(&self) -> Json {
        json!({"type": "string"})
    }
}

/// An address and port.
pub const ADDRESS: Parsed<SocketAddr> =
    Parsed("an address and port such as 0.0.0.0:8280", address, SocketAddr::to_string);

/// A network: `10.0.0.0/8`, or a single address.
pub const NETWORK: Parsed<IpNet> = Parsed("a network such as 10.0.0.0/8, or an address", network, IpNet::to_string);

fn address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let way = if text.parse::<std::net::IpAddr>().is_ok() {
        if text.contains(':') { format!("write [{text}]:8280") } else { format!("write {text}:8280") }
    } else if let Some(port) = text.strip_prefix(['*', ':']).map(|rest| rest.trim_start_matches(':')) {
        format!("write 0.0.0.0:{port}, or [::]:{port} for IPv6 too")
    } else if text.parse::<u16>().is_ok() {
        format!("write 0.0.0.0:{text}")
    } else {
        "write an address in numbers and a port, such as 0.0.0.0:8280 or [::]:8280".to_owned()
    };
    Err(format!("{text:?} is no address and port; {way}"))
}

fn network(text: &str) -> Result<IpNet, String> {
    let single = text.parse::<std::net::IpAddr>().ok().map(IpNet::from);
    let net = single.or_else(|| text.parse().ok());
    let net = net.ok_or_else(|| format!("{text:?} is no network; write 10.0.0.0/8, fd00::/8 or a single address"))?;
    if net.trunc() == net {
        Ok(net)
    } else {
        Err(format!("{text} has bits set behind its length; write {}", net.trunc()))
    }
}

/// `true` or `false`.
#[derive(Debug, Clone, Copy)]
pub struct Flag;

impl Form for Flag {
    type Value = bool;
    fn what(&self) -> String {
        "true or false".to_owned()
    }
    fn parse(&self, text: &str, _: &Path) -> Result<bool, String> {
        match text {
            "true" => Ok(true),
            "false" => Ok(false),
            "yes" | "on" | "Yes" | "On" | "True" | "TRUE" | "1" => Err(format!("{text} is not a switch; write true")),
            "no" | "off" | "No" | "Off" | "False" | "FALSE" | "0" => {
                Err(format!("{text} is not a switch; write false"))
            }
            _ => Err(format!("{text:?} is not a switch; write true or false")),
        }
    }
    fn show(&self, value: &bool) -> Shown {
        Shown::Plain(value.to_string())
    }
    fn schema(&self) -> Json {
        json!({"type": "boolean"})
    }
    fn takes_quoted(&self, _text: &str) -> bool {
        false
    }
}

/// A whole number within bounds.
#[derive(Debug, Clone, Copy)]
pub struct Count {
    /// The least.
    pub min: u64,
    /// The most.
    pub max: u64,
    /// What to write in place of a number below the least.
    pub below: &'static str,
}

impl Count {
    /// From 1 to a bound.
    pub const fn to(max: u64) -> Self {
        Self { min: 1, max, below: "" }
    }

    /// From 0 to a bound.
    pub const fn from_zero(max: u64) -> Self {
        Self { min: 0, max, below: "" }
    }
}

impl Form for Count {
    type Value = u64;
    fn what(&self) -> String {
        format!("a number of {} to {}", self.min, self.max)
    }
    fn parse(&self, text: &str, _: &Path) -> Result<u64, String> {
        let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(format!("{text:?} is no whole number; write {}", self.what()));
        }
        let negative = text.starts_with('-') && digits.bytes().any(|byte| byte != b'0');
        let number = if negative { None } else { digits.parse::<u64>().ok() };
        match number {
            Some(number) if (self.min..=self.max).contains(&number) => Ok(number),
            Some(0) if !self.below.is_empty() => Err(format!("{text} {}", self.below)),
            Some(number) if number < self.min => Err(format!("{text} is too little; write {}", self.what())),
            None if negative => Err(format!("{text} is too little; write {}", self.what())),
            _ => Err(format!("{text} is too much; write {}", self.what())),
        }
    }
    fn show(&self, value: &u64) -> Shown {
        Shown::Plain(value.to_string())
    }
    fn schema(&self) -> Json {
        json!({"type": "integer", "minimum": self.min, "maximum": self.max})
    }
    fn takes_quoted(&self, _text: &str) -> bool {
        false
    }
}

/// A [`Count`] that fits a type, `n32`, or another.
#[derive(Debug, Clone, Copy)]
pub struct Fit<T>(
    /// The bounds; they fit the type.
    pub Count,
    std::marker::PhantomData<T>,
);

/// A count as `u32`.
pub const fn n32(count: Count) -> Fit<u32> {
    Fit(count, std::marker::PhantomData)
}

/// A count as `u16`.
pub const fn n16(count: Count) -> Fit<u16> {
    Fit(count, std::marker::PhantomData)
}

impl<T: TryFrom<u64> + Copy + Into<u64>> Form for Fit<T> {
    type Value = T;
    fn what(&self) -> String {
        self.0.what()
    }
    fn parse(&self, text: &str, folder: &Path) -> Result<T, String> {
        let number = self.0.parse(text, folder)?;
        T::try_from(number).map_err(|_| format!("{text} is too much; write {}", self.what()))
    }
    fn show(&self, value: &T) -> Shown {
        self.0.show(&(*value).into())
    }
    fn schema(&self) -> Json {
        self.0.schema()
    }
    fn takes_quoted(&self, _text: &str) -> bool {
        false
    }
}

/// A duration that is not zero.
#[derive(Debug, Clone, Copy)]
pub struct Time;

/// A duration that may be zero.
#[derive(Debug, Clone, Copy)]
pub struct TimeOrZero;

const TIME_PATTERN: &str = r"^(\d+(ms|s|m|h|d)|.*\$\{.*)$";

impl Form for Time {
    type Value = Duration;
    fn what(&self) -> String {
        "a duration such as 500ms, 30s or 15m".to_owned()
    }
    fn parse(&self, text: &str, folder: &Path) -> Result<Duration, String> {
        let time = TimeOrZero.parse(text, folder)?;
        if time.is_zero() { Err(format!("{text} leaves no time at all; write {}", self.what())) } else { Ok(time) }
    }
    fn show(&self, value: &Duration) -> Shown {
        TimeOrZero.show(value)
    }
    fn schema(&self) -> Json {
        TimeOrZero.schema()
    }
}

impl Form for TimeOrZero {
    type Value = Duration;
    fn what(&self) -> String {
        "a duration such as 0s, 30s or 15m".to_owned()
    }
    fn parse(&self, text: &str, _: &Path) -> Result<Duration, String> {
        units::duration(text)
    }
    fn show(&self, value: &Duration) -> Shown {
        Shown::Text(units::show_duration(*value)).plain()
    }
    fn schema(&self) -> Json {
        json!({"type": "string", "pattern": TIME_PATTERN})
    }
}

/// A size within bounds.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// The least, in bytes.
    pub min: u64,
    /// The most, in bytes.
    pub max: u64,
}

impl Form for Size {
    type Value = u64;
    fn what(&self) -> String {
        format!("a size of {} to {}", units::show_size(self.min), units::show_size(self.max))
    }
    fn parse(&self, text: &str, _: &Path) -> Result<u64, String> {
        let bytes = units::size(text)?;
        if bytes < self.min {
            Err(format!("{text} is too little; write {}", self.what()))
        } else if bytes > self.max {
            Err(format!("{text} is too much; write {}", self.what()))
        } else {
            Ok(bytes)
        }
    }
    fn show(&self, value: &u64) -> Shown {
        Shown::Plain(units::show_size(*value))
    }
    fn schema(&self) -> Json {
        json!({"type": ["string", "integer"]})
    }
}

/// One of some words.
#[derive(Debug)]
pub struct Word<T: 'static>(
    /// The words and what they mean.
    pub &'static [(&'static str, T)],
);

impl<T> Clone for Word<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Word<T> {}

impl<T: Copy + PartialEq> Form for Word<T> {
    type Value = T;
    fn what(&self) -> String {
        words(self.0.iter().map(|(word, _)| *word))
    }
    fn parse(&self, text: &str, _: &Path) -> Result<T, String> {
        if let Some((_, value)) = self.0.iter().find(|(word, _)| *word == text) {
            return Ok(*value);
        }
        match nearest(text, self.0.iter().map(|(word, _)| *word)) {
            Some(near) => Err(format!("{text:?} means nothing here; did you mean {near}? ({} are known)", self.what())),
            None => Err(format!("{text:?} means nothing here; write {}", self.what())),
        }
    }
    fn show(&self, value: &T) -> Shown {
        let word = self.0.iter().find(|(_, known)| known == value).map_or("", |(word, _)| *word);
        Shown::Plain(word.to_owned())
    }
    fn schema(&self) -> Json {
        json!({"enum": self.0.iter().map(|(word, _)| word_json(word)).collect::<Vec<_>>()})
    }
}

/// A word as editors read it: `true` is a boolean to them.
fn word_json(word: &str) -> Json {
    match word {
        "true" => json!(true),
        "false" => json!(false),
        _ => json!(word),
    }
}

fn words<'w>(words: impl Iterator<Item = &'w str>) -> String {
    let words: Vec<_> = words.collect();
    match words.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

/// A value of another form, or a word that stands for its absence.
#[derive(Debug, Clone, Copy)]
pub struct Or<F>(
    /// The word: `none`, `auto`.
    pub &'static str,
    /// The form.
    pub F,
);

impl<F: Form> Form for Or<F> {
    type Value = Option<F::Value>;
    fn what(&self) -> String {
        format!("{}, or {}", self.1.what(), self.0)
    }
    fn parse(&self, text: &str, folder: &Path) -> Result<Self::Value, String> {
        if text == self.0 {
            return Ok(None);
        }
        self.1.parse(text, folder).map(Some).map_err(|message| format!("{message}, or {}", self.0))
    }
    fn show(&self, value: &Self::Value) -> Shown {
        value.as_ref().map_or_else(|| Shown::Plain(self.0.to_owned()), |value| self.1.show(value))
    }
    fn schema(&self) -> Json {
        json!({"anyOf": [{"const": self.0}, self.1.schema()]})
    }
    fn takes_quoted(&self, text: &str) -> bool {
        text == self.0 || self.1.takes_quoted(text)
    }
}

/// A file that must be there and readable.
#[derive(Debug, Clone, Copy)]
pub struct ReadableFile;

impl Form for ReadableFile {
    type Value = PathBuf;
    fn what(&self) -> String {
        "the path of a file".to_owned()
    }
    fn parse(&self, text: &str, folder: &Path) -> Result<PathBuf, String> {
        let path = WritableFile.parse(text, folder)?;
        let fault = match std::fs::metadata(&path) {
            // Opening a pipe would wait for its other end.
            Ok(meta) if !meta.is_file() => return Err(format!("{} is no file; name one", path.display())),
            Ok(_) => match std::fs::File::open(&path) {
                Ok(_) => return Ok(path),
                Err(error) => error,
            },
            Err(error) => error,
        };
        Err(format!(
            "cannot read {}: {fault}; correct the path (relative ones begin at this file) or its permissions",
            path.display()
        ))
    }
    fn show(&self, value: &PathBuf) -> Shown {
        Shown::Text(value.display().to_string())
    }
    fn schema(&self) -> Json {
        json!({"type": "string"})
    }
}

/// A file that is made where it is absent.
#[derive(Debug, Clone, Copy)]
pub struct WritableFile;

impl Form for WritableFile {
    type Value = PathBuf;
    fn what(&self) -> String {
        "the path of a file".to_owned()
    }
    fn parse(&self, text: &str, folder: &Path) -> Result<PathBuf, String> {
        if text.is_empty() || text.contains('\0') {
            return Err("is no path; write one, relative to this file or from the root".to_owned());
        }
        Ok(folder.join(text))
    }
    fn show(&self, value: &PathBuf) -> Shown {
        ReadableFile.show(value)
    }
    fn schema(&self) -> Json {
        json!({"type": "string"})
    }
}

/// A secret as text.
#[derive(Debug, Clone, Copy)]
pub struct SecretText;

impl Form for SecretText {
    type Value = Secret;
    fn what(&self) -> String {
        "${VARIABLE}, {file: path} or a text".to_owned()
    }
    fn parse(&self, text: &str, _: &Path) -> Result<Secret, String> {
        if text.is_empty() { Err(format!("is empty; write {}", self.what())) } else { Ok(Secret::new(text)) }
    }
    fn show(&self, _: &Secret) -> Shown {
        Shown::Secret
    }
    fn schema(&self) -> Json {
        json!({"type": ["string", "number"]})
    }
}

/// A secret in a file.
#[derive(Debug, Clone, Copy)]
pub struct SecretFile;

/// Bytes of a file that holds a secret. None is longer.
const SECRET_BYTES_MAX: u64 = 64 << 10;

impl Form for SecretFile {
    type Value = Secret;
    fn what(&self) -> String {
        "the path of a file".to_owned()
    }
    fn parse(&self, text: &str, folder: &Path) -> Result<Secret, String> {
        use std::io::Read;
        let path = ReadableFile.parse(text, folder)?;
        let mut content = String::new();
        let read = std::fs::File::open(&path).and_then(|file| file.take(SECRET_BYTES_MAX).read_to_string(&mut content));
        if let Err(error) = read {
            return Err(format!("cannot read {}: {error}; a secret is a line of text", path.display()));
        }
        match content.trim() {
            "" => Err(format!("{} is empty; write the secret into it", path.display())),
            secret => Ok(Secret::new(secret)),
        }
    }
    fn show(&self, _: &Secret) -> Shown {
        Shown::Secret
    }
    fn schema(&self) -> Json {
        json!({"type": "string"})
    }
}

impl Shown {
    /// The same text without quotes, where its form is known to need none.
    fn plain(self) -> Self {
        match self {
            Shown::Text(text) => Shown::Plain(text),
            other => other,
        }
    }
}
