//! SOAP load generator. One thread, epoll, keep-alive; closed loop (--rate 0) or open loop (--rate N req/s,
//! latency counted from the time the request was DUE, so queueing is not hidden: no coordinated omission).
//! --target host:port[,host:port...]  connections are spread over the targets
//! --mode A   no session          B   cookies learned in a priming pass (JSESSIONID + whatever the proxy adds)
//!        CH  client-made ServiceGroupId (first node that sees it owns it)
//!        CL  ServiceGroupId issued by a backend, learned in a priming pass from the response body
//! --size request body bytes, --resp response body bytes, --conns, --sessions, --warm s, --dur s
//! --pids a,b,c   processes whose CPU (schedstat ns, utime/stime ticks) and RSS are read over exactly the measured window
//! --spin 1   never sleep (epoll timeout 0 + sched_yield): no wakeup IPIs from the proxy's core, which in a VM cost more than the work itself
//! prints one JSON line.
use std::os::fd::IntoRawFd;
use std::time::{Duration, Instant};
use tools::*;

struct Conn {
    fd: i32,
    busy: bool,
    sess: usize,
    t0: Instant,
    head: Vec<u8>,
    hpos: usize,
    tpos: usize,
    want_out: bool,
    inb: Vec<u8>,
    hdr: bool,
    body: Body,
    status: u32,
    node: u8,
    cookies: Vec<u8>,
    rbody: Vec<u8>,
    close: bool,
    target: usize,
}
#[derive(Clone, Default)]
struct Sess {
    id: Vec<u8>,
    cookies: Vec<u8>,
    node: u8,
}

#[derive(Default, Clone, Copy, Debug)]
struct Cpu {
    ns: u64,
    ut: u64,
    st: u64,
}
fn cpu(pids: &[u32]) -> Cpu {
    let mut c = Cpu::default();
    for p in pids {
        if let Ok(d) = std::fs::read_dir(format!("/proc/{p}/task")) {
            for t in d.flatten() {
                if let Ok(s) = std::fs::read_to_string(t.path().join("schedstat")) {
                    c.ns += num(s.as_bytes());
                }
            }
        }
        if let Ok(s) = std::fs::read_to_string(format!("/proc/{p}/stat")) {
            let r: Vec<&str> = s[s.rfind(')').unwrap() + 2..].split(' ').collect();
            c.ut += r[11].parse::<u64>().unwrap();
            c.st += r[12].parse::<u64>().unwrap();
        }
    }
    c
}
fn status_kb(pids: &[u32], key: &str) -> u64 {
    pids.iter()
        .filter_map(|p| std::fs::read_to_string(format!("/proc/{p}/status")).ok())
        .filter_map(|s| s.lines().find(|l| l.starts_with(key)).map(|l| num(l[key.len()..].trim().as_bytes())))
        .sum()
}

/// busy ticks (10 ms) of core 0, to see whether somebody else ran on the proxy's core
fn core0() -> u64 {
    let s = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let v: Vec<u64> = s
        .lines()
        .find(|l| l.starts_with("cpu0 "))
        .unwrap_or("")
        .split_whitespace()
        .skip(1)
        .map(|x| x.parse().unwrap())
        .collect();
    if v.len() < 8 {
        0
    } else {
        v[0] + v[1] + v[2] + v[5] + v[6] + v[7]
    }
}
struct G {
    ep: Epoll,
    targets: Vec<String>,
    mode: String,
    pre: Vec<u8>,
    post: Vec<u8>,
    plain_tail: Vec<u8>,
    tail: Vec<u8>,
    size: usize,
    resp: usize,
}

impl G {
    fn connect(&self, ix: usize, c: &mut Conn) -> bool {
        match std::net::TcpStream::connect(&self.targets[c.target]) {
            Ok(s) => {
                let fd = s.into_raw_fd();
                nonblock(fd);
                c.fd = fd;
                c.want_out = false;
                c.inb.clear();
                c.hdr = false;
                self.ep.ctl(libc::EPOLL_CTL_ADD, fd, libc::EPOLLIN as u32, ix as u64);
                true
            }
            Err(_) => {
                c.fd = -1;
                false
            }
        }
    }
    fn start(&self, ix: usize, c: &mut Conn, sess: usize, s: &Sess, t0: Instant) -> bool {
        use std::io::Write;
        if c.fd < 0 && !self.connect(ix, c) {
            return false;
        }
        c.busy = true;
        c.sess = sess;
        c.t0 = t0;
        c.hdr = false;
        c.body = Body::Done;
        c.rbody.clear();
        c.cookies.clear();
        c.close = false;
        c.head.clear();
        c.hpos = 0;
        c.tpos = 0;
        let _ = write!(c.head, "POST /services/Echo HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: Axis2\r\nContent-Type: text/xml;charset=UTF-8\r\nSOAPAction: \"urn:echo\"\r\nContent-Length: {}\r\n", self.size);
        if self.resp != 1024 {
            let _ = write!(c.head, "X-Resp-Size: {}\r\n", self.resp);
        }
        if !s.cookies.is_empty() {
            c.head.extend_from_slice(b"Cookie: ");
            c.head.extend_from_slice(&s.cookies);
            c.head.extend_from_slice(b"\r\n");
        }
        c.head.extend_from_slice(b"\r\n");
        let b0 = c.head.len();
        c.head.extend_from_slice(&self.pre);
        if !s.id.is_empty() {
            c.head.extend_from_slice(b"<axis2:ServiceGroupId xmlns:axis2=\"http://ws.apache.org/namespaces/axis2\">");
            c.head.extend_from_slice(&s.id);
            c.head.extend_from_slice(b"</axis2:ServiceGroupId>");
            if std::env::var_os("CLIENTID").is_some() {
                c.head.extend_from_slice(b"<syn:ClientID xmlns:syn=\"http://ws.apache.org/ns/synapse\">");
                c.head.extend_from_slice(&s.id);
                c.head.extend_from_slice(b"</syn:ClientID>");
            }
        }
        c.head.extend_from_slice(&self.post);
        let need = self.size - (c.head.len() - b0);
        c.tpos = self.tail.len() - need; // shared tail, right-aligned
        self.flush(ix, c)
    }
    fn flush(&self, ix: usize, c: &mut Conn) -> bool {
        loop {
            let v = [
                libc::iovec { iov_base: c.head[c.hpos..].as_ptr() as _, iov_len: c.head.len() - c.hpos },
                libc::iovec { iov_base: self.tail[c.tpos..].as_ptr() as _, iov_len: self.tail.len() - c.tpos },
            ];
            let tot = v[0].iov_len + v[1].iov_len;
            if tot == 0 {
                break;
            }
            let mut m: libc::msghdr = unsafe { std::mem::zeroed() };
            m.msg_iov = v.as_ptr() as _;
            m.msg_iovlen = 2;
            let r = unsafe { libc::sendmsg(c.fd, &m, libc::MSG_NOSIGNAL) };
            if r < 0 {
                if std::io::Error::last_os_error().kind() == std::io::ErrorKind::WouldBlock {
                    break;
                }
                return false;
            }
            let r = r as usize;
            let h = r.min(v[0].iov_len);
            c.hpos += h;
            c.tpos += r - h;
            if r == tot {
                break;
            }
        }
        let w = c.hpos < c.head.len() || c.tpos < self.tail.len();
        if w != c.want_out {
            c.want_out = w;
            self.ep.ctl(
                libc::EPOLL_CTL_MOD,
                c.fd,
                (libc::EPOLLIN | if w { libc::EPOLLOUT } else { 0 }) as u32,
                ix as u64,
            );
        }
        true
    }
}

fn main() {
    let mut a = std::collections::HashMap::new();
    let v: Vec<String> = std::env::args().skip(1).collect();
    for p in v.chunks(2) {
        a.insert(p[0].trim_start_matches("--").to_string(), p.get(1).cloned().unwrap_or_default());
    }
    let g = |k: &str, d: &str| a.get(k).cloned().unwrap_or_else(|| d.to_string());
    let conns_n: usize = g("conns", "64").parse().unwrap();
    let size: usize = g("size", "1024").parse().unwrap();
    let resp: usize = g("resp", "1024").parse().unwrap();
    let rate: f64 = g("rate", "0").parse().unwrap();
    let dur = Duration::from_secs_f64(g("dur", "5").parse().unwrap());
    let warm = Duration::from_secs_f64(g("warm", "1").parse().unwrap());
    let nsess: usize = g("sessions", "10000").parse().unwrap();
    let mode = g("mode", "A");
    let spin = g("spin", "0") == "1";
    let pids: Vec<u32> = g("pids", "").split(',').filter_map(|s| s.parse().ok()).collect();
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_IGN);
        libc::prctl(libc::PR_SET_TIMERSLACK, 1u64);
    }

    let pre = b"<?xml version=\"1.0\" encoding=\"UTF-8\"?><soapenv:Envelope xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\" xmlns:wsa=\"http://www.w3.org/2005/08/addressing\"><soapenv:Header><wsa:To>http://localhost/services/Echo</wsa:To><wsa:Action>urn:echo</wsa:Action>".to_vec();
    let post = b"</soapenv:Header><soapenv:Body><ns:echo xmlns:ns=\"urn:echo\">".to_vec();
    let end = b"</ns:echo></soapenv:Body></soapenv:Envelope>";
    let mut tail: Vec<u8> = vec![];
    let mut fill = vec![];
    while fill.len() < size {
        fill.extend_from_slice(b"payload of no interest payload of interest\n");
    }
    tail.extend_from_slice(&fill[..size]);
    tail.extend_from_slice(end); // longer than needed: the request uses the right-aligned rest
    assert!(size >= 600, "--size must be >= 600");
    let gg = G {
        ep: Epoll::new(),
        targets: g("target", "127.0.0.1:8000").split(',').map(String::from).collect(),
        mode: mode.clone(),
        pre,
        post,
        plain_tail: vec![],
        tail,
        size,
        resp,
    };
    let _ = (&gg.plain_tail, &gg.mode);

    let mut sess = vec![Sess::default(); if mode == "A" { 1 } else { nsess }];
    let mut rng = Rng(0xDEADBEEF ^ ((std::process::id() as u64) << 20) ^ Instant::now().elapsed().as_nanos() as u64);
    if mode == "CH" {
        for s in sess.iter_mut() {
            let (x, y) = (rng.next(), rng.next());
            s.id = format!(
                "urn:uuid:{:08x}-{:04x}-{:04x}-{:04x}-{:010x}00",
                x as u32,
                (x >> 32) as u16,
                (x >> 48) as u16,
                y as u16,
                (y >> 16) & 0xff_ffff_ffff
            )
            .into_bytes();
        }
    }
    let now = Instant::now();
    let mut conns: Vec<Conn> = (0..conns_n)
        .map(|i| Conn {
            fd: -1,
            busy: false,
            sess: 0,
            t0: now,
            head: vec![],
            hpos: 0,
            tpos: gg.tail.len(),
            want_out: false,
            inb: vec![],
            hdr: false,
            body: Body::Done,
            status: 0,
            node: 0,
            cookies: vec![],
            rbody: vec![],
            close: false,
            target: i % gg.targets.len(),
        })
        .collect();
    for p in &pids {
        let _ = std::fs::write(format!("/proc/{p}/clear_refs"), "5");
    }
    let rss0 = status_kb(&pids, "VmRSS:");

    let mut lat: Vec<u32> = Vec::with_capacity(1 << 20);
    let (mut total, mut done, mut s500, mut sother, mut wrong, mut cerr, mut reconn, mut first_err) =
        (0u64, 0u64, 0u64, 0u64, 0u64, 0u64, 0u64, String::new());
    let mut nodes = [0u64; 16];
    let mut evs = vec![libc::epoll_event { events: 0, u64: 0 }; 256];
    let mut buf = vec![0u8; 256 * 1024];
    let prime_n = if mode == "B" || mode == "CL" || mode == "CH" { nsess } else { 0 };
    // phase 0 prime (each session once), 1 warm, 2 measured
    let mut phase = if prime_n > 0 { 0 } else { 1 };
    let (mut primed_sent, mut primed_done) = (0usize, 0usize);
    let mut next_sess = 0usize;
    let t_begin = Instant::now();
    let mut t_start = Instant::now();
    let mut issued = 0u64; // open-loop schedule
    let (mut w0, mut c0, mut k0) = (Instant::now(), Cpu::default(), core0());
    let mut idle: Vec<usize> = (0..conns_n).collect();
    let hard = Duration::from_secs(60) + warm + dur;
    loop {
        let now = Instant::now();
        if phase == 0 && primed_done >= prime_n {
            phase = 1;
            t_start = now;
        }
        if phase == 1 && now - t_start >= warm {
            phase = 2;
            w0 = now;
            c0 = cpu(&pids);
            k0 = core0();
            lat.clear();
            done = 0;
            s500 = 0;
            sother = 0;
            wrong = 0;
            nodes = [0; 16];
        }
        if phase == 2 && now - w0 >= dur {
            break;
        }
        if now - t_begin > hard {
            if phase < 2 {
                w0 = now;
                c0 = cpu(&pids);
            }
            first_err = format!("timeout in phase {phase}");
            break;
        }
        // issue
        let mut timeout: i64 = 20_000_000;
        let mut tries = 0;
        while let Some(&ix) = idle.last() {
            let t0;
            let si;
            if phase == 0 {
                if primed_sent >= prime_n {
                    break;
                }
                si = primed_sent;
                primed_sent += 1;
                t0 = Instant::now();
            } else {
                if rate > 0.0 {
                    let due = t_start + Duration::from_nanos((issued as f64 * 1e9 / rate) as u64);
                    let n = Instant::now();
                    if due > n {
                        timeout = timeout.min((due - n).as_nanos() as i64);
                        break;
                    }
                    t0 = due;
                    issued += 1;
                } else {
                    t0 = Instant::now();
                }
                si = next_sess;
                next_sess = (next_sess + 1) % sess.len();
            }
            idle.pop();
            if !gg.start(ix, &mut conns[ix], si, &sess[si], t0) {
                cerr += 1;
                drop_conn(&mut conns[ix]);
                if phase == 0 {
                    primed_done += 1;
                }
                idle.insert(0, ix);
                tries += 1;
                if tries > 64 {
                    timeout = 1_000_000;
                    break;
                }
            }
        }
        let k = if spin {
            let k = gg.ep.wait(&mut evs, 0);
            if k == 0 {
                unsafe {
                    libc::sched_yield();
                }
            }
            k
        } else {
            gg.ep.wait(&mut evs, timeout)
        };
        for e in 0..k {
            let ix = evs[e].u64 as usize;
            let ev = evs[e].events;
            let c = &mut conns[ix];
            if c.fd < 0 {
                continue;
            }
            let mut fail = false;
            let mut complete = false;
            if ev & libc::EPOLLOUT as u32 != 0 && !gg.flush(ix, c) {
                fail = true;
            }
            if ev & !(libc::EPOLLOUT as u32) != 0 {
                let r = unsafe { libc::recv(c.fd, buf.as_mut_ptr() as _, buf.len(), 0) };
                if r == 0 || (r < 0 && std::io::Error::last_os_error().kind() != std::io::ErrorKind::WouldBlock) {
                    if c.busy {
                        fail = true;
                    } else {
                        reconn += 1;
                        drop_conn(c);
                        continue;
                    }
                } else if r > 0 && c.busy {
                    let mut d = &buf[..r as usize];
                    let joined;
                    if !c.hdr {
                        if !c.inb.is_empty() {
                            c.inb.extend_from_slice(d);
                            joined = std::mem::take(&mut c.inb);
                            d = &joined;
                        }
                        while let Some(h) = find(d, b"\r\n\r\n") {
                            let head = &d[..h + 4];
                            let st = if head.len() > 12 { num(&head[9..12]) as u32 } else { 0 };
                            if st == 100 {
                                d = &d[h + 4..];
                                continue;
                            }
                            c.hdr = true;
                            c.status = st;
                            c.body = Body::from_head(head);
                            c.node = header(head, "x-node").map(|v| num(&v[4..]) as u8).unwrap_or(0);
                            c.close = header(head, "connection").map_or(false, |v| v.eq_ignore_ascii_case(b"close"));
                            if phase == 0 {
                                for line in head.split(|&b| b == b'\n') {
                                    if line.len() > 11 && line[..11].eq_ignore_ascii_case(b"set-cookie:") {
                                        let v = trim(&line[11..]);
                                        let v = &v[..v.iter().position(|&b| b == b';').unwrap_or(v.len())];
                                        if !c.cookies.is_empty() {
                                            c.cookies.extend_from_slice(b"; ");
                                        }
                                        c.cookies.extend_from_slice(v);
                                    }
                                }
                            }
                            d = &d[h + 4..];
                            break;
                        }
                        if !c.hdr {
                            c.inb = d.to_vec();
                        }
                    }
                    if c.hdr {
                        let rb = &mut c.rbody;
                        let keep = phase == 0;
                        c.body.feed(d, |p| {
                            if keep {
                                rb.extend_from_slice(p)
                            }
                        });
                        complete = c.body == Body::Done;
                    }
                }
            }
            if fail {
                cerr += 1;
                if first_err.is_empty() {
                    first_err = format!("conn failed: {}", std::io::Error::last_os_error());
                }
                if phase == 0 {
                    primed_done += 1;
                }
                drop_conn(c);
                c.busy = false;
                idle.push(ix);
                continue;
            }
            if complete {
                total += 1;
                done += 1;
                if phase == 2 {
                    lat.push((c.t0.elapsed().as_nanos() / 100).min(u32::MAX as u128) as u32);
                }
                nodes[(c.node & 15) as usize] += 1;
                if c.status != 200 {
                    if c.status == 500 {
                        s500 += 1
                    } else {
                        sother += 1;
                        if first_err.is_empty() {
                            first_err = format!("status {}", c.status);
                        }
                    }
                }
                let s = &mut sess[c.sess];
                if phase == 0 {
                    primed_done += 1;
                    s.node = c.node;
                    if mode == "B" {
                        s.cookies = std::mem::take(&mut c.cookies);
                    }
                    if mode == "CL" {
                        if let Some(p) = find(&c.rbody, b"ServiceGroupId") {
                            let r = &c.rbody[p..];
                            let b = r.iter().position(|&x| x == b'>').unwrap() + 1;
                            let e = r[b..].iter().position(|&x| x == b'<').unwrap();
                            s.id = r[b..b + e].to_vec();
                        }
                    }
                } else if mode != "A" && s.node != c.node {
                    wrong += 1;
                }
                c.busy = false;
                // a response that came before the request was fully sent leaves the connection unusable
                if c.close || c.hpos < c.head.len() || c.tpos < gg.tail.len() {
                    reconn += 1;
                    drop_conn(c);
                }
                idle.push(ix);
            }
        }
    }
    let el = w0.elapsed().as_secs_f64();
    let c1 = cpu(&pids);
    let k1 = core0();
    lat.sort_unstable();
    let q = |p: f64| {
        if lat.is_empty() {
            0.0
        } else {
            lat[((lat.len() as f64 * p) as usize).min(lat.len() - 1)] as f64 / 10.0
        }
    };
    let d = done.max(1) as f64;
    println!("{{\"mode\":\"{mode}\",\"size\":{size},\"resp\":{resp},\"rate\":{rate},\"secs\":{el:.3},\"done\":{done},\"total\":{total},\"rps\":{:.1},\"cpu_us\":{:.2},\"usr_us\":{:.2},\"sys_us\":{:.2},\"cpu_pct\":{:.1},\"core0_pct\":{:.1},\"p50\":{:.1},\"p90\":{:.1},\"p99\":{:.1},\"p999\":{:.1},\"max\":{:.1},\"s500\":{s500},\"sother\":{sother},\"wrong\":{wrong},\"cerr\":{cerr},\"reconn\":{reconn},\"nodes\":[{},{},{}],\"rss0_kb\":{rss0},\"rss_kb\":{},\"hwm_kb\":{},\"err\":\"{}\"}}",
        done as f64 / el, (c1.ns - c0.ns) as f64 / 1e3 / d, (c1.ut - c0.ut) as f64 * 1e4 / d, (c1.st - c0.st) as f64 * 1e4 / d,
        (c1.ns - c0.ns) as f64 / 1e7 / el, (k1 - k0) as f64 / el, q(0.5), q(0.9), q(0.99), q(0.999), q(1.0), nodes[1], nodes[2], nodes[3], status_kb(&pids, "VmRSS:"), status_kb(&pids, "VmHWM:"), first_err);
}
fn drop_conn(c: &mut Conn) {
    if c.fd >= 0 {
        unsafe {
            libc::close(c.fd);
        }
    }
    c.fd = -1;
    c.want_out = false;
    c.inb.clear();
}
