//! Slow start: a node that has just come gets new conversations gently.
//!
//! Its share of new work grows linearly from a tenth (Envoy's default; from nothing, a node would never warm) to its whole
//! weight over the time configured. Existing conversations are served from the first moment on.

/// What a weight of 1 counts for: fine enough that a tenth of it is still a number.
pub(super) const WHOLE: u32 = 64;

/// A weight `elapsed_ms` after its node came, in units of 1/[`WHOLE`]; never 0.
pub(super) fn present_weight(weight: u16, elapsed_ms: u64, slow_start_ms: u64) -> u32 {
    let whole = u32::from(weight.max(1)) * WHOLE;
    if elapsed_ms >= slow_start_ms {
        return whole;
    }
    let grown = u64::from(whole) * elapsed_ms / slow_start_ms;
    u32::try_from(grown).unwrap_or(whole).max(whole / 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_grows_in_a_straight_line_from_a_tenth() {
        for (weight, elapsed, slow_start, expected) in [
            (1, 0, 0, 64),
            (1, 0, 30_000, 6),
            (1, 2_000, 30_000, 6),
            (1, 15_000, 30_000, 32),
            (1, 29_999, 30_000, 63),
            (1, 30_000, 30_000, 64),
            (1, u64::MAX, 30_000, 64),
            (256, 0, 30_000, 1_638),
            (256, 15_000, 30_000, 8_192),
            (0, 1, 0, 64),
        ] {
            assert_eq!(present_weight(weight, elapsed, slow_start), expected, "{weight} {elapsed} {slow_start}");
        }
    }
}
