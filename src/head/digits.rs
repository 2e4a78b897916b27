//! Numbers and addresses as text, without the machinery of formatting: heads and log lines hold several each.

use std::net::{IpAddr, Ipv4Addr};

/// Where text goes.
pub trait Sink {
    /// Appends ASCII text.
    fn text(&mut self, text: &[u8]);
}

impl Sink for Vec<u8> {
    fn text(&mut self, text: &[u8]) {
        self.extend_from_slice(text);
    }
}

impl<const N: usize> Sink for smallvec::SmallVec<[u8; N]>
where
    [u8; N]: smallvec::Array<Item = u8>,
{
    fn text(&mut self, text: &[u8]) {
        self.extend_from_slice(text);
    }
}

const TWO_DIGITS: &[u8] = b"\
0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243444546474849\
5051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899";

/// Appends `number` in decimal digits.
pub fn decimal(number: u64, out: &mut impl Sink) {
    out.text(itoa::Buffer::new().format(number).as_bytes());
}

/// Appends the last two decimal digits of `number`.
pub fn two_digits(number: u64, out: &mut impl Sink) {
    let at = (number % 100) as usize * 2;
    out.text(&TWO_DIGITS[at..at + 2]);
}

/// Appends 32 hexadecimal digits.
pub fn hex128(number: u128, out: &mut impl Sink) {
    let mut digits = [0; 32];
    for (at, digit) in digits.iter_mut().enumerate() {
        *digit = b"0123456789abcdef"[(number >> (124 - 4 * at) & 15) as usize];
    }
    out.text(&digits);
}

/// Appends an address as it is usually written.
pub fn address(address: IpAddr, out: &mut impl Sink) {
    match address {
        IpAddr::V4(address) => ipv4(address, out),
        IpAddr::V6(address) => out.text(address.to_string().as_bytes()),
    }
}

fn ipv4(address: Ipv4Addr, out: &mut impl Sink) {
    let mut text = [0; 15];
    let mut at = 0;
    for (index, octet) in address.octets().into_iter().enumerate() {
        if index > 0 {
            text[at] = b'.';
            at += 1;
        }
        for (least, divisor) in [(100, 100), (10, 10), (0, 1)] {
            if octet >= least {
                text[at] = b'0' + octet / divisor % 10;
                at += 1;
            }
        }
    }
    out.text(&text[..at]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_what_formatting_would_make() {
        for number in [0, 7, 10, 99, 100, 12_345, u64::MAX] {
            let mut out = Vec::new();
            decimal(number, &mut out);
            assert_eq!(out, number.to_string().as_bytes());
        }
        for text in ["0.0.0.0", "1.20.100.255", "10.9.99.101", "255.255.255.255", "2001:db8::1", "::1"] {
            let mut out = Vec::new();
            address(text.parse().expect("an address"), &mut out);
            assert_eq!(out, text.as_bytes());
        }
        let mut out = Vec::new();
        hex128(0x00ab_cdef, &mut out);
        assert_eq!(out, format!("{:032x}", 0x00ab_cdef).as_bytes());
        out.clear();
        two_digits(107, &mut out);
        assert_eq!(out, b"07");
    }
}
