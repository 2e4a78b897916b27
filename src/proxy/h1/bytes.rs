//! Classes of bytes (RFC 9110 §5.6.2, RFC 3986).

/// Whether `byte` may stand in a token: a method, a field name, a coding.
pub(super) const fn is_token(byte: u8) -> bool {
    matches!(byte,
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9'
        | b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~')
}

/// White space within a line: SP and HTAB.
pub(super) const fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

/// Whether `byte` may stand in a field value, a reason phrase or a quoted string: all but control bytes and DEL.
pub(super) const fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= 0x20 && byte != 0x7F)
}
