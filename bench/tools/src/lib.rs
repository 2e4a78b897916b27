//! Shared by backend and loadgen: epoll wrapper, tiny HTTP/1.1 helpers.
use std::os::fd::RawFd;

pub struct Epoll(pub RawFd);
impl Epoll {
    pub fn new() -> Self {
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        assert!(fd >= 0);
        Epoll(fd)
    }
    pub fn ctl(&self, op: i32, fd: RawFd, ev: u32, data: u64) {
        let mut e = libc::epoll_event { events: ev, u64: data };
        let r = unsafe { libc::epoll_ctl(self.0, op, fd, &mut e) };
        assert!(r == 0, "epoll_ctl {}", std::io::Error::last_os_error());
    }
    /// timeout in ns, <0 = forever
    pub fn wait(&self, evs: &mut [libc::epoll_event], ns: i64) -> usize {
        let ts = libc::timespec { tv_sec: ns.max(0) / 1_000_000_000, tv_nsec: ns.max(0) % 1_000_000_000 };
        let p = if ns < 0 { std::ptr::null() } else { &ts as *const _ };
        let r = unsafe {
            libc::syscall(libc::SYS_epoll_pwait2, self.0, evs.as_mut_ptr(), evs.len() as i32, p, 0usize, 8usize)
        };
        if r < 0 {
            0
        } else {
            r as usize
        }
    }
}

pub fn find(h: &[u8], n: &[u8]) -> Option<usize> {
    if n.is_empty() || h.len() < n.len() {
        return None;
    }
    let r = unsafe { libc::memmem(h.as_ptr() as _, h.len(), n.as_ptr() as _, n.len()) };
    if r.is_null() {
        None
    } else {
        Some(r as usize - h.as_ptr() as usize)
    }
}

/// case-insensitive header lookup in a raw head (from request/status line to the blank line)
pub fn header<'a>(head: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let n = name.as_bytes();
    for line in head.split(|&b| b == b'\n').skip(1) {
        if line.len() > n.len() && line[n.len()] == b':' && line[..n.len()].eq_ignore_ascii_case(n) {
            return Some(trim(&line[n.len() + 1..]));
        }
    }
    None
}
pub fn trim(mut s: &[u8]) -> &[u8] {
    while let [f, r @ ..] = s {
        if f.is_ascii_whitespace() {
            s = r
        } else {
            break;
        }
    }
    while let [r @ .., l] = s {
        if l.is_ascii_whitespace() {
            s = r
        } else {
            break;
        }
    }
    s
}
pub fn num(s: &[u8]) -> u64 {
    s.iter().take_while(|b| b.is_ascii_digit()).fold(0, |a, b| a * 10 + (b - b'0') as u64)
}

/// Body framing state, fed by slices; returns bytes consumed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Body {
    Len(u64),
    Chunk { st: u8, left: u64 },
    Done,
}
impl Body {
    pub fn from_head(head: &[u8]) -> Body {
        if let Some(te) = header(head, "transfer-encoding") {
            if te.eq_ignore_ascii_case(b"chunked") {
                return Body::Chunk { st: 0, left: 0 };
            }
        }
        match header(head, "content-length").map(num) {
            Some(0) | None => Body::Done,
            Some(n) => Body::Len(n),
        }
    }
    /// consume from `d`; `f` is called with payload pieces. Returns bytes consumed.
    pub fn feed(&mut self, d: &[u8], mut f: impl FnMut(&[u8])) -> usize {
        let mut i = 0;
        loop {
            match self {
                Body::Done => return i,
                Body::Len(n) => {
                    let k = (*n).min((d.len() - i) as u64) as usize;
                    if k > 0 {
                        f(&d[i..i + k]);
                    }
                    i += k;
                    *n -= k as u64;
                    if *n == 0 {
                        *self = Body::Done
                    }
                    return i;
                }
                // st: 0 size digits, 1 skip to LF after size, 2 data, 3 CRLF after data, 4 trailer line start, 5 in trailer line
                Body::Chunk { st, left } => {
                    if i >= d.len() {
                        return i;
                    }
                    match *st {
                        0 => {
                            let b = d[i];
                            i += 1;
                            match (b as char).to_digit(16) {
                                Some(v) => *left = *left * 16 + v as u64,
                                None => {
                                    *st = if b == b'\n' {
                                        if *left == 0 {
                                            4
                                        } else {
                                            2
                                        }
                                    } else {
                                        1
                                    }
                                }
                            }
                        }
                        1 => {
                            if d[i] == b'\n' {
                                *st = if *left == 0 { 4 } else { 2 }
                            }
                            i += 1;
                        }
                        2 => {
                            let k = (*left).min((d.len() - i) as u64) as usize;
                            f(&d[i..i + k]);
                            i += k;
                            *left -= k as u64;
                            if *left == 0 {
                                *st = 3
                            }
                        }
                        3 => {
                            if d[i] == b'\n' {
                                *st = 0;
                                *left = 0
                            }
                            i += 1;
                        }
                        4 => {
                            let b = d[i];
                            i += 1;
                            if b == b'\n' {
                                *self = Body::Done;
                                return i;
                            } else if b != b'\r' {
                                *st = 5
                            }
                        }
                        _ => {
                            if d[i] == b'\n' {
                                *st = 4
                            }
                            i += 1;
                        }
                    }
                }
            }
        }
    }
}

pub fn nonblock(fd: RawFd) {
    unsafe {
        let f = libc::fcntl(fd, libc::F_GETFL);
        libc::fcntl(fd, libc::F_SETFL, f | libc::O_NONBLOCK);
        let one: i32 = 1;
        libc::setsockopt(fd, libc::IPPROTO_TCP, libc::TCP_NODELAY, &one as *const _ as _, 4);
    }
}

pub struct Rng(pub u64);
impl Rng {
    pub fn next(&mut self) -> u64 {
        let mut x = self.0;
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.0 = x;
        x.wrapping_mul(0x2545F4914F6CDD1D)
    }
}
