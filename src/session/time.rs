//! Times to live as messages tell them: `xs:duration` and `xs:dateTime` (XML Schema Part 2 §3.2.6, §3.2.7).

use std::time::Duration;

const DAY: u64 = 86_400;

/// How long from `now_unix` (seconds): a duration as it is, a dateTime as its distance. `None` where the text is neither,
/// lies in the past, or is `PT0S`, which means "no limit of mine" (WS-ReliableMessaging 1.1 §3.4).
pub(super) fn time_to_live(text: &str, now_unix: i64) -> Option<Duration> {
    let text = text.trim();
    let seconds = match text.strip_prefix('P') {
        Some(rest) => duration(rest)?,
        None => u64::try_from(date_time(text)?.checked_sub(now_unix)?).ok()?,
    };
    (seconds > 0).then(|| Duration::from_secs(seconds))
}

/// What stands behind the `P`. Months count 30 days, years 365: a time to live needs no calendar.
fn duration(text: &str) -> Option<u64> {
    let (date, time) = match text.split_once('T') {
        Some((date, time)) => (date, Some(time)),
        None => (text, None),
    };
    let mut total = units(date, &[('Y', 365 * DAY), ('M', 30 * DAY), ('D', DAY)])?;
    if let Some(time) = time {
        total = total.checked_add(units(time, &[('H', 3600), ('M', 60), ('S', 1)])?)?;
    }
    (!date.is_empty() || time.is_some_and(|time| !time.is_empty())).then_some(total)
}

/// `1H30M`: each unit at most once, in order. Fractions of the last unit are cut off.
fn units(text: &str, order: &[(char, u64)]) -> Option<u64> {
    let mut total: u64 = 0;
    let mut rest = text;
    let mut allowed = order;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let whole = rest[..digits].split('.').next()?;
        let unit = rest[digits..].chars().next()?;
        let at = allowed.iter().position(|(letter, _)| *letter == unit)?;
        let count: u64 = whole.parse().ok()?;
        total = total.checked_add(count.checked_mul(allowed[at].1)?)?;
        allowed = &allowed[at + 1..];
        rest = &rest[digits + unit.len_utf8()..];
    }
    Some(total)
}

/// Seconds since 1970 of `2026-11-21T10:00:00.5Z`, `...+01:00`, or without a zone (taken as UTC).
fn date_time(text: &str) -> Option<i64> {
    let (date, time) = text.split_once('T')?;
    let mut parts = date.splitn(3, '-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    if !(1..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let zone_at = time.find(['Z', '+', '-']).unwrap_or(time.len());
    let clock = time[..zone_at].split('.').next()?;
    let mut parts = clock.splitn(3, ':').map(|part| part.parse::<i64>().ok());
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
    if !(0..=24).contains(&hour) || !(0..60).contains(&minute) || !(0..=60).contains(&second) {
        return None;
    }
    let zone = match time.get(zone_at..)? {
        "" | "Z" => 0,
        zone => {
            let (hours, minutes) = zone.get(1..)?.split_once(':')?;
            let offset = hours.parse::<i64>().ok()? * 3600 + minutes.parse::<i64>().ok()? * 60;
            if zone.starts_with('-') { -offset } else { offset }
        }
    };
    Some(days_from_civil(year, month, day) * DAY as i64 + hour * 3600 + minute * 60 + second - zone)
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, seconds: Option<u64>) {
        // 2026-11-21T10:00:00Z
        assert_eq!(time_to_live(text, 1_795_255_200), seconds.map(Duration::from_secs), "{text}");
    }

    #[test]
    fn durations_are_read_as_schema_writes_them() {
        check("PT10M", Some(600));
        check("PT00H01M00S", Some(60));
        check("P1DT1H", Some(90_000));
        check("PT7200.000S", Some(7200));
        check("P0Y0M0DT0H5M0.5S", Some(300));
        check("PT0S", None);
        check("P", None);
        check("PT", None);
        check("PT5", None);
        check("PT5S5M", None);
        check("-PT5S", None);
        check("PT99999999999999999999S", None);
    }

    #[test]
    fn moments_are_read_as_distances() {
        check("2026-11-21T10:01:00Z", Some(60));
        check("2026-11-21T11:01:00.250+01:00", Some(60));
        check("2026-11-21T10:01:00", Some(60));
        check("2026-11-21T09:59:00Z", None);
        check("2026-13-21T09:59:00Z", None);
        check("tomorrow", None);
    }
}
