//! Durations and sizes: how they are written, read and shown.

use std::time::Duration;

/// What a unit stands for, in milliseconds. The largest comes first, so that showing finds the shortest form.
const TIMES: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
/// What a unit stands for, in bytes. The decimal ones are read, not shown.
const SIZES: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];
/// A year: whatever should last longer wants to last for ever.
const TIME_MAX: Duration = Duration::from_secs(366 * 86_400);

/// Reads `30s`, `500ms`, `15m`, `4h`, `1d`; a zero needs its unit too.
///
/// # Errors
/// No unit, an unknown one, no whole number, or more than a year.
pub fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text);
    let forms = "write 30s, 500ms, 15m, 4h or 1d";
    if unit.is_empty() && !number.is_empty() {
        return Err(format!("{text} has no unit; write {text}s or {text}ms"));
    }
    let Some((_, factor)) = TIMES.iter().find(|(name, _)| *name == unit) else {
        return Err(format!("{text:?} is no duration; {forms}"));
    };
    let number: u64 = number.parse().map_err(|_| format!("{text:?} is no duration; {forms}"))?;
    let millis = number.checked_mul(*factor).map(Duration::from_millis).filter(|time| *time <= TIME_MAX);
    millis.ok_or_else(|| format!("{text} is longer than a year; write at most 366d"))
}

/// The shortest form that [`duration`] reads as the same.
pub fn show_duration(time: Duration) -> String {
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    if millis == 0 {
        return "0s".to_owned();
    }
    // Up to two minutes in seconds: `60s` and `90s` read better than a mixture of units.
    if millis.is_multiple_of(1000) && millis < 120_000 {
        return format!("{}s", millis / 1000);
    }
    let (unit, factor) = TIMES.iter().find(|(_, factor)| millis.is_multiple_of(*factor)).unwrap_or(&("ms", 1));
    format!("{}{unit}", millis / factor)
}

/// Reads `64KiB`, `2MiB`, `1GiB`, `512B`, `4096`.
///
/// # Errors
/// An unknown unit (decimal ones are refused by name: they are nearly always meant as binary), or no whole number.
pub fn size(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text);
    let unit = if unit.is_empty() { "B" } else { unit };
    if let Some((binary, _)) =
        SIZES.iter().find(|(name, _)| name.replace('i', "").eq_ignore_ascii_case(unit) && *name != "B")
    {
        return Err(format!("{unit} may mean two things; write {number}{binary}"));
    }
    let Some((_, factor)) = SIZES.iter().find(|(name, _)| *name == unit) else {
        return Err(format!("{text:?} is no size; write 64KiB, 2MiB, 1GiB or a number of bytes"));
    };
    let number: u64 =
        number.parse().map_err(|_| format!("{text:?} is no size; write 64KiB, 2MiB or a number of bytes"))?;
    number.checked_mul(*factor).ok_or_else(|| format!("{text} is more than any machine has"))
}

/// The shortest form that [`size`] reads as the same.
pub fn show_size(bytes: u64) -> String {
    match SIZES.iter().find(|(_, factor)| bytes != 0 && bytes.is_multiple_of(*factor)) {
        Some((unit, factor)) if *unit != "B" => format!("{}{unit}", bytes / factor),
        _ => bytes.to_string(),
    }
}

fn split(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        for (text, millis) in
            [("30s", 30_000), ("500ms", 500), ("15m", 900_000), ("4h", 14_400_000), ("1d", 86_400_000), ("0s", 0)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in [
            "30",
            "",
            "s",
            "-1s",
            "1.5s",
            "30 s",
            "1h30m",
            "5M",
            "99999999999999999999s",
            "18446744073709551615d",
            "367d",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
        assert_eq!(duration("30").unwrap_err(), "30 has no unit; write 30s or 30ms");
    }

    #[test]
    fn sizes_are_binary() {
        for (text, bytes) in
            [("64KiB", 65_536), ("2MiB", 2 << 20), ("1GiB", 1 << 30), ("12", 12), ("12B", 12), ("0", 0)]
        {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["64KB", "2M", "2k", "", "MiB", "-1", "1.5MiB", "99999999999999999999", "18446744073709551615GiB"] {
            assert!(size(text).is_err(), "{text}");
        }
        assert_eq!(size("64KB").unwrap_err(), "KB may mean two things; write 64KiB");
    }

    #[test]
    fn what_is_shown_is_read_as_the_same() {
        for millis in [0, 1, 999, 1000, 1500, 90_000, 300_000, 3_600_000, 5_400_000, 86_400_000, 86_401_000] {
            let time = Duration::from_millis(millis);
            assert_eq!(duration(&show_duration(time)), Ok(time));
        }
        for bytes in [0, 1, 1023, 1024, 4096, 2 << 20, (2 << 20) + 1, 3 << 30] {
            assert_eq!(size(&show_size(bytes)), Ok(bytes));
        }
        assert_eq!(show_duration(Duration::from_secs(1800)), "30m");
    }
}
