//! Switches, numbers, durations and sizes.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::Form;
use crate::config::show::Shown;
use crate::config::units;

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
        Shown::Plain(units::show_duration(*value))
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
