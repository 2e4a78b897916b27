//! SOAP test backend: N nodes (one listener each, 127.0.0.1:BASE+i, i=1..N) in ONE single-threaded epoll process.
//! usage: backend BASEPORT NODES [spin]   (spin: never sleeps, see loadgen --spin)
//! Per request:
//!  * no ServiceGroupId in the first 8 KiB of the body -> issues urn:uuid:........-0000000000NN (NN = node)
//!  * ServiceGroupId issued by another node            -> 500
//!  * ServiceGroupId ending in 00 (client generated)   -> first node that sees it owns it, any other node: 500
//!  * JSESSIONID=<32 hex>.nodeN of another node        -> 500 ; no JSESSIONID -> Set-Cookie
//!  * always X-Node: nodeN, and the id in wsa:ReplyTo/wsa:ReferenceParameters
//!  * X-Resp-Size: n pads the response body to about n bytes; X-Delay-Us is not supported on purpose
//!  * GET /__reset forgets the claims, GET /__stat shows counters
use std::collections::HashMap;
use std::os::fd::AsRawFd;
use tools::*;

struct Conn {
    fd: i32,
    node: usize,
    inb: Vec<u8>,
    out: Vec<u8>,
    opos: usize,
    head: Option<Vec<u8>>,
    body: Body,
    peek: Vec<u8>,
    blen: u64,
    want_out: bool,
}

const PEEK: usize = 8192;

fn main() {
    let a: Vec<String> = std::env::args().collect();
    let base: u16 = a[1].parse().unwrap();
    let n: usize = a[2].parse().unwrap();
    let spin = a.get(3).map_or(false, |x| x == "spin");
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_IGN);
    }
    let ep = Epoll::new();
    let mut ls = vec![];
    for i in 1..=n {
        let l = std::net::TcpListener::bind(("127.0.0.1", base + i as u16)).unwrap();
        unsafe {
            libc::listen(l.as_raw_fd(), 4096);
        }
        l.set_nonblocking(true).unwrap();
        ep.ctl(libc::EPOLL_CTL_ADD, l.as_raw_fd(), libc::EPOLLIN as u32, i as u64);
        ls.push(l);
    }
    let mut conns: Vec<Option<Box<Conn>>> = vec![];
    let mut free: Vec<usize> = vec![];
    let mut claims: HashMap<Vec<u8>, usize> = HashMap::new();
    let mut rng = Rng(0x9E3779B97F4A7C15 ^ std::process::id() as u64);
    let mut cnt = vec![0u64; n + 1];
    let mut wrong = 0u64;
    let mut evs = vec![libc::epoll_event { events: 0, u64: 0 }; 256];
    let mut buf = vec![0u8; 256 * 1024];
    loop {
        let k = if spin {
            let k = ep.wait(&mut evs, 0);
            if k == 0 {
                unsafe {
                    libc::sched_yield();
                }
            }
            k
        } else {
            ep.wait(&mut evs, -1)
        };
        for e in 0..k {
            let (ev, d) = (evs[e].events, evs[e].u64);
            if d < 1000 {
                loop {
                    let fd = unsafe {
                        libc::accept4(
                            ls[d as usize - 1].as_raw_fd(),
                            std::ptr::null_mut(),
                            std::ptr::null_mut(),
                            libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC,
                        )
                    };
                    if fd < 0 {
                        break;
                    }
                    nonblock(fd);
                    let ix = free.pop().unwrap_or_else(|| {
                        conns.push(None);
                        conns.len() - 1
                    });
                    conns[ix] = Some(Box::new(Conn {
                        fd,
                        node: d as usize,
                        inb: vec![],
                        out: vec![],
                        opos: 0,
                        head: None,
                        body: Body::Done,
                        peek: vec![],
                        blen: 0,
                        want_out: false,
                    }));
                    ep.ctl(libc::EPOLL_CTL_ADD, fd, (libc::EPOLLIN | libc::EPOLLRDHUP) as u32, 1000 + ix as u64);
                }
                continue;
            }
            let ix = (d - 1000) as usize;
            let Some(c) = conns[ix].as_mut() else { continue };
            let mut close = false;
            if ev & (libc::EPOLLIN | libc::EPOLLHUP | libc::EPOLLERR | libc::EPOLLRDHUP) as u32 != 0 {
                let r = unsafe { libc::recv(c.fd, buf.as_mut_ptr() as _, buf.len(), 0) };
                if r == 0 || (r < 0 && std::io::Error::last_os_error().kind() != std::io::ErrorKind::WouldBlock) {
                    close = true;
                } else if r > 0 {
                    let mut data = &buf[..r as usize];
                    while !data.is_empty()
                        || (!c.inb.is_empty() && c.head.is_none() && find(&c.inb, b"\r\n\r\n").is_some())
                    {
                        if c.head.is_none() {
                            // head
                            let owned;
                            let src: &[u8] = if c.inb.is_empty() {
                                data
                            } else {
                                c.inb.extend_from_slice(data);
                                owned = std::mem::take(&mut c.inb);
                                data = &[];
                                // re-slice: continue on the joined buffer
                                match find(&owned, b"\r\n\r\n") {
                                    None => {
                                        c.inb = owned;
                                        break;
                                    }
                                    Some(h) => {
                                        c.head = Some(owned[..h + 4].to_vec());
                                        c.body = Body::from_head(&owned[..h + 4]);
                                        c.peek.clear();
                                        c.blen = 0;
                                        let rest = owned[h + 4..].to_vec();
                                        let used = feed(c, &rest);
                                        if c.body == Body::Done {
                                            finish(c, &mut claims, &mut rng, &mut cnt, &mut wrong);
                                        }
                                        if used < rest.len() {
                                            c.inb = rest[used..].to_vec();
                                        }
                                        continue;
                                    }
                                }
                            };
                            match find(src, b"\r\n\r\n") {
                                None => {
                                    c.inb.extend_from_slice(src);
                                    break;
                                }
                                Some(h) => {
                                    c.head = Some(src[..h + 4].to_vec());
                                    c.body = Body::from_head(&src[..h + 4]);
                                    c.peek.clear();
                                    c.blen = 0;
                                    if find(&src[..h + 4], b"100-continue").is_some() {
                                        c.out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
                                    }
                                    data = &data[h + 4..];
                                }
                            }
                        }
                        let used = feed(c, data);
                        data = &data[used..];
                        if c.body == Body::Done {
                            finish(c, &mut claims, &mut rng, &mut cnt, &mut wrong);
                        }
                    }
                }
            }
            if !close && c.opos < c.out.len() {
                let r = unsafe {
                    libc::send(c.fd, c.out[c.opos..].as_ptr() as _, c.out.len() - c.opos, libc::MSG_NOSIGNAL)
                };
                if r < 0 {
                    if std::io::Error::last_os_error().kind() != std::io::ErrorKind::WouldBlock {
                        close = true;
                    }
                } else {
                    c.opos += r as usize;
                }
                if c.opos == c.out.len() {
                    c.out.clear();
                    c.opos = 0;
                }
            }
            let w = !c.out.is_empty();
            if !close && w != c.want_out {
                c.want_out = w;
                ep.ctl(
                    libc::EPOLL_CTL_MOD,
                    c.fd,
                    (libc::EPOLLIN | libc::EPOLLRDHUP) as u32 | if w { libc::EPOLLOUT as u32 } else { 0 },
                    d,
                );
            }
            if close {
                unsafe {
                    libc::close(c.fd);
                }
                conns[ix] = None;
                free.push(ix);
            }
        }
    }
}

fn feed(c: &mut Conn, data: &[u8]) -> usize {
    let (peek, blen) = (&mut c.peek, &mut c.blen);
    c.body.feed(data, |p| {
        let k = PEEK.saturating_sub(peek.len()).min(p.len());
        peek.extend_from_slice(&p[..k]);
        *blen += p.len() as u64;
    })
}

pub fn sgid(b: &[u8]) -> Option<&[u8]> {
    let p = find(b, b"ServiceGroupId")?;
    let r = &b[p..];
    let s = r.iter().position(|&x| x == b'>')? + 1;
    let e = r[s..].iter().position(|&x| x == b'<')?;
    Some(trim(&r[s..s + e]))
}

fn finish(c: &mut Conn, claims: &mut HashMap<Vec<u8>, usize>, rng: &mut Rng, cnt: &mut [u64], wrong: &mut u64) {
    use std::io::Write;
    let head = c.head.take().unwrap();
    if head.starts_with(b"GET /__") {
        if head.starts_with(b"GET /__reset") {
            claims.clear();
            *wrong = 0;
            cnt.iter_mut().for_each(|x| *x = 0);
        }
        let b = format!("counts={:?} wrong={} claims={}\n", &cnt[1..], wrong, claims.len());
        let _ = write!(c.out, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}", b.len(), b);
        return;
    }
    let node = c.node;
    cnt[node] += 1;
    let mut bad = false;
    let id: Vec<u8> = match sgid(&c.peek) {
        Some(id) => {
            let own = if id.len() > 2 { num(&id[id.len() - 2..]) as usize } else { 0 };
            let own = if own == 0 { *claims.entry(id.to_vec()).or_insert(node) } else { own };
            bad |= own != node;
            id.to_vec()
        }
        None => {
            let (x, y) = (rng.next(), rng.next());
            format!(
                "urn:uuid:{:08x}-{:04x}-{:04x}-{:04x}-{:010x}{:02}",
                x as u32,
                (x >> 32) as u16,
                (x >> 48) as u16,
                y as u16,
                (y >> 16) & 0xff_ffff_ffff,
                node
            )
            .into_bytes()
        }
    };
    let ck = header(&head, "cookie").and_then(|v| find(v, b"JSESSIONID=").map(|p| &v[p + 11..]));
    if let Some(v) = ck {
        let v = &v[..v.iter().position(|&b| b == b';').unwrap_or(v.len())];
        match find(v, b".node") {
            Some(p) => bad |= num(&v[p + 5..]) as usize != node,
            None => bad = true,
        }
    }
    let pad: usize = header(&head, "x-resp-size").map(num).unwrap_or(1024) as usize;
    if bad {
        *wrong += 1;
    }
    let mut body: Vec<u8> = Vec::with_capacity(pad + 64);
    body.extend_from_slice(b"<?xml version=\"1.0\" encoding=\"UTF-8\"?><soapenv:Envelope xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\" xmlns:wsa=\"http://www.w3.org/2005/08/addressing\"><soapenv:Header><wsa:ReplyTo><wsa:Address>http://www.w3.org/2005/08/addressing/anonymous</wsa:Address><wsa:ReferenceParameters><axis2:ServiceGroupId xmlns:axis2=\"http://ws.apache.org/namespaces/axis2\">");
    body.extend_from_slice(&id);
    body.extend_from_slice(b"</axis2:ServiceGroupId></wsa:ReferenceParameters></wsa:ReplyTo><wsa:Action>urn:echoResponse</wsa:Action></soapenv:Header><soapenv:Body>");
    let tail = b"</soapenv:Body></soapenv:Envelope>";
    let l = body.len() + tail.len();
    if l < pad {
        body.resize(body.len() + pad - l, b'x');
    }
    body.extend_from_slice(tail);
    let _ = write!(
        c.out,
        "HTTP/1.1 {}\r\nContent-Type: text/xml;charset=UTF-8\r\nX-Node: node{}\r\nX-Body-Len: {}\r\n",
        if bad { "500 Wrong Node" } else { "200 OK" },
        node,
        c.blen
    );
    if ck.is_none() {
        let _ = write!(c.out, "Set-Cookie: JSESSIONID={:016x}{:016x}.node{}; Path=/\r\n", rng.next(), rng.next(), node);
    }
    let _ = write!(c.out, "Content-Length: {}\r\n\r\n", body.len());
    c.out.extend_from_slice(&body);
}
