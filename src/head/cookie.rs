//! placeholder
use super::Fields;
pub struct SetCookie<'a> {
    pub name: &'a [u8],
    pub value: &'a [u8],
}
impl SetCookie<'_> {
    pub fn is_deleted(&self, _now_unix: i64) -> bool {
        false
    }
}
pub fn request_cookies(_f: &Fields) -> impl Iterator<Item = (&[u8], &[u8])> {
    std::iter::empty()
}
pub fn response_cookies(_f: &Fields) -> impl Iterator<Item = SetCookie<'_>> {
    std::iter::empty()
}
