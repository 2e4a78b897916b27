//! HTTP/2 towards clients, by hyper.
use super::{buffer::Buffer, connection::Connection, stream::Stream, worker::Worker};
use std::rc::Rc;
pub async fn serve(_worker: &Rc<Worker>, _connection: Connection, _stream: Stream, _input: Buffer) {}
pub async fn begins_with_preface(_w: &Rc<Worker>, _c: &Connection, _s: &mut Stream, _i: &mut Buffer) -> Option<bool> {
    Some(false)
}
