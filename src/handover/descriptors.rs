//! Descriptors from process to process (`SCM_RIGHTS`).
//!
//! What is passed is the same socket, not another one on the same address: whichever process closes its descriptor, the
//! connections that wait in it stay for the other.

use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::cmsg_space;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};

/// Descriptors with one frame; Linux allows 253 (`SCM_MAX_FD`).
pub const AT_ONCE: usize = 128;
/// Descriptors of one hand-over: listeners times workers. More than that is not meant honestly.
pub const MAX: usize = 16 * 1024;

/// Sends a frame and descriptors with its first byte.
///
/// # Errors
/// The other process has gone or does not read.
pub fn send(mut stream: &UnixStream, frame: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(AT_ONCE))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::other("too many descriptors at once"));
    }
    let sent = sendmsg(stream, &[IoSlice::new(frame)], &mut control, SendFlags::NOSIGNAL)?;
    stream.write_all(&frame[sent..])
}

/// Reads a stream and keeps the descriptors that come with it.
#[derive(Debug)]
pub struct Receiver<'a> {
    stream: &'a UnixStream,
    /// What came, in order; all close on exec.
    pub descriptors: VecDeque<OwnedFd>,
}

impl<'a> Receiver<'a> {
    /// From this stream.
    pub fn new(stream: &'a UnixStream) -> Self {
        Self { stream, descriptors: VecDeque::new() }
    }
}

impl Read for Receiver<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(AT_ONCE))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received =
            recvmsg(self.stream.as_fd(), &mut [IoSliceMut::new(buffer)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                self.descriptors.extend(descriptors);
            }
        }
        if received.flags.contains(ReturnFlags::CTRUNC) || self.descriptors.len() > MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "descriptors were lost on their way"));
        }
        Ok(received.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_socket_that_was_passed_on_keeps_what_waits_in_it() {
        let (here, there) = UnixStream::pair().expect("a pair");
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let address = listener.local_addr().expect("bound");
        let mut client = std::net::TcpStream::connect(address).expect("it listens");
        client.write_all(b"waiting").expect("connected");
        send(&here, b"x", &[listener.as_fd()]).expect("there is room");
        drop(listener);
        let mut receiver = Receiver::new(&there);
        let mut byte = [0];
        receiver.read_exact(&mut byte).expect("it was sent");
        let passed = TcpListener::from(receiver.descriptors.pop_front().expect("one came"));
        let (mut stream, _) = passed.accept().expect("it waits");
        let mut text = [0; 7];
        stream.read_exact(&mut text).expect("it was sent");
        assert_eq!(&text, b"waiting");
    }
}
