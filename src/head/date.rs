//! Dates as cookies carry them: many notations, one reading (RFC 6265 §5.1.1).

/// A date in seconds since 1970; `None` where it is none.
///
/// Not a calendar but the algorithm of the RFC: the first token that looks like a time is the time, the first that looks
/// like a day is the day, and so on; everything else, weekday and time zone among it, is passed over.
pub(super) fn unix_seconds(text: &[u8]) -> Option<i64> {
    let (mut time, mut day, mut month, mut year) = (None, None, None, None);
    for token in text.split(|byte| is_delimiter(*byte)).filter(|token| !token.is_empty()) {
        // One token fills one place, the first that is free and that it fits.
        if time.is_none()
            && let Some(found) = time_of(token)
        {
            time = Some(found);
        } else if day.is_none()
            && let Some(found) = number(token, 1, 2)
        {
            day = Some(found);
        } else if month.is_none()
            && let Some(found) = month_of(token)
        {
            month = Some(found);
        } else if year.is_none()
            && let Some(found) = number(token, 2, 4)
        {
            year = Some(match found {
                70..=99 => found + 1900,
                0..=69 => found + 2000,
                _ => found,
            });
        }
    }
    let ((hour, minute, second), day, month, year) = (time?, day?, month?, year?);
    if !(1..=days_in(month, year)).contains(&day) || year < 1601 || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    Some(days_since_1970(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second)
}

fn is_delimiter(byte: u8) -> bool {
    matches!(byte, 0x09 | 0x20..=0x2F | 0x3B..=0x40 | 0x5B..=0x60 | 0x7B..=0x7E)
}

/// `1*2DIGIT ":" 1*2DIGIT ":" 1*2DIGIT`, then nothing or a byte that is no digit.
fn time_of(token: &[u8]) -> Option<(i64, i64, i64)> {
    let mut parts = token.splitn(3, |byte| *byte == b':');
    let hour = whole_number(parts.next()?)?;
    let minute = whole_number(parts.next()?)?;
    let second = number(parts.next()?, 1, 2)?;
    Some((hour, minute, second))
}

fn whole_number(text: &[u8]) -> Option<i64> {
    number(text, 1, 2).filter(|_| text.iter().all(u8::is_ascii_digit))
}

/// `min` to `max` digits, then nothing or a byte that is no digit.
fn number(token: &[u8], min: usize, max: usize) -> Option<i64> {
    let digits = token.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (min..=max).contains(&digits).then(|| token[..digits].iter().fold(0, |n, digit| n * 10 + i64::from(digit - b'0')))
}

fn month_of(token: &[u8]) -> Option<i64> {
    const MONTHS: &[u8; 36] = b"janfebmaraprmayjunjulaugsepoctnovdec";
    let begin = token.get(..3)?;
    MONTHS.chunks(3).position(|month| begin.eq_ignore_ascii_case(month)).map(|index| index as i64 + 1)
}

fn days_in(month: i64, year: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 in the Gregorian calendar, for years after 0. Years begin in March here, so that the leap day is the last one.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year / 400, year % 400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_notation_in_use_gives_the_same_date() {
        for text in [
            "Thu, 01 Jan 1970 00:00:10 GMT",
            "Thursday, 01-Jan-70 00:00:10 GMT",
            "Thu Jan  1 00:00:10 1970",
            "1 jan 1970 0:0:10",
            "Thu, 01-Jan-1970 00:00:10 GMT+0000",
        ] {
            assert_eq!(unix_seconds(text.as_bytes()), Some(10), "{text}");
        }
        assert_eq!(unix_seconds(b"Sun, 22 Nov 2026 04:09:59 GMT"), Some(1_795_320_599));
        assert_eq!(unix_seconds(b"Fri, 31 Dec 9999 23:59:59 GMT"), Some(253_402_300_799));
        assert_eq!(unix_seconds(b"Mon, 01 Jan 1601 00:00:00 GMT"), Some(-11_644_473_600));
    }

    #[test]
    fn what_names_no_day_is_no_date() {
        for text in [
            "",
            "0",
            "-1",
            "never",
            "Sun, 31 Feb 2026 00:00:00 GMT",
            "1 Jan 2026",
            "1 Jan 2026 24:00:00",
            "1 Jan 1600 00:00:00",
        ] {
            assert_eq!(unix_seconds(text.as_bytes()), None, "{text}");
        }
    }
}
